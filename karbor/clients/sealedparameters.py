# SPDX-License-Identifier: Apache-2.0
"""How do secret parameters of a restore get from karbor-api to the worker without anybody reading them on the way?

As logins do: sealed, each value in its place among the parameters. What shows a restore hides them all the same.
"""

from collections.abc import Callable, Mapping
from typing import Any

from karbor.clients.sealedlogins import LoginSeal
from karbor.model.restore import changed_secrets

#: Opens what was sealed for a purpose: (purpose, sealed) -> what it was.
Opener = Callable[[str, str], Mapping[str, Any]]
Parameters = Mapping[str, Mapping[str, Any]]
_MARK = "sealed:"


def sealed(parameters: Parameters, purpose: str, seal: LoginSeal) -> dict[str, dict[str, Any]]:
    """The parameters with their secrets sealed. They open for the same ``purpose`` only, such as the id of a restore,
    and not in the place of its login."""
    return changed_secrets(parameters, lambda value: _MARK + seal.seal(_of(purpose), {"value": value}))


def opened(parameters: Parameters, purpose: str, opener: Opener) -> dict[str, dict[str, Any]]:
    """The parameters as the user gave them. Raises what ``opener`` raises, which is asked only where it is needed."""

    def plain(value: Any) -> Any:
        if not str(value).startswith(_MARK):  # kept by a release that did not seal
            return value
        return opener(_of(purpose), str(value).removeprefix(_MARK))["value"]

    return changed_secrets(parameters, plain)


def _of(purpose: str) -> str:
    return f"parameters of {purpose}"
