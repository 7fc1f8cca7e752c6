# SPDX-License-Identifier: Apache-2.0
"""How does one talk to Karbor with nothing but the standard library?"""

import json
import urllib.error
import urllib.request
from typing import Any


class RestError(Exception):
    """The service refused a request or could not be reached; the text is for people."""


class Client:
    """REST calls below one base URL, such as http://127.0.0.1:8799/v1/PROJECT_ID."""

    def __init__(self, base: str) -> None:
        self.base = base.rstrip("/")

    def get(self, path: str) -> Any:
        """The JSON answer of ``path``. Raises RestError."""
        return self._call("GET", path, None)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """The JSON answer to ``body``. Raises RestError."""
        return self._call("POST", path, body)

    def _call(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        request = urllib.request.Request(
            self.base + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Accept": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            raise RestError(f"{method} {path}: {_message(error)}") from error
        except (OSError, ValueError) as error:
            raise RestError(f"{method} {path}: {error}") from error


def _message(error: urllib.error.HTTPError) -> str:
    """The message in an error body; its first value holds it."""
    text = error.read().decode(errors="replace")
    try:
        return f"{next(iter(json.loads(text).values()))['message']} (HTTP {error.code})"
    except (ValueError, AttributeError, KeyError, TypeError, StopIteration):
        return f"HTTP {error.code} {text[:200]}"
