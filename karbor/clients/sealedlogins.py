# SPDX-License-Identifier: Apache-2.0
"""How does a login that a user gave get from karbor-api to the worker without anybody reading it on the way?

Sealed with a key that both have in a file of the operator, and that is no key of any data. The file holds one key in
each line: the first seals, all of them open, so that keys can be changed without losing what is under way.
"""

import json
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from karbor.common import durable
from karbor.model import errors

#: The purpose of a login for somebody who only looks ahead: it opens for no restore.
DRY_RUN = "dry run"
_SETTING = "login_key_file in [clients]"


class LoginSeal:
    """Seals logins and opens them. Immutable; may be used by many threads."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Raises ConfigurationError where these are no keys."""
        try:
            self._keys = MultiFernet([Fernet(key) for key in keys])
        except ValueError as fault:
            raise errors.ConfigurationError(f"The file of {_SETTING} does not hold keys.", detail=str(fault)) from None

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the key file. Raises KeyUnavailable where there is none, ConfigurationError where it is wrong or open to
        others."""
        try:
            mode, text = path.stat().st_mode, path.read_bytes()
        except OSError as fault:
            raise errors.KeyUnavailable(f"The file of {_SETTING} cannot be read.", detail=str(fault)) from fault
        if stat.S_IMODE(mode) & 0o077:
            raise errors.ConfigurationError(
                f"The file of {_SETTING} is open to others.", detail=str(path), next_action=f"chmod 600 {path}"
            )
        return cls(text.split())

    @staticmethod
    def create(path: Path) -> None:
        """Make a key file (0600). Raises Conflict where there is one: a key is never overwritten."""
        try:
            made = durable.create_file(path, Fernet.generate_key() + b"\n", mode=0o600)
        except OSError as fault:
            raise errors.KeyUnavailable("The key file cannot be written.", detail=str(fault)) from fault
        if not made:
            raise errors.Conflict("The key file exists already.", detail=str(path))

    def seal(self, purpose: str, login: Mapping[str, Any]) -> str:
        """The login as text that tells nothing. It opens for the same ``purpose`` only, such as the id of a restore."""
        return self._keys.encrypt(json.dumps({"purpose": purpose, "login": dict(login)}).encode()).decode()

    def open(self, purpose: str, sealed: str) -> dict[str, Any]:
        """What was sealed. Raises KeyUnavailable where our keys do not open it."""
        try:
            found = json.loads(self._keys.decrypt(sealed.encode()))
        except InvalidToken:
            found = {}
        if found.get("purpose") != purpose:
            raise errors.KeyUnavailable(
                "What was sealed for this restore cannot be opened here.",
                next_action=f"give karbor-api and karbor-protection the same {_SETTING}",
            )
        login: dict[str, Any] = found["login"]
        return login
