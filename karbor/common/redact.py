# SPDX-License-Identifier: Apache-2.0
"""Which parts of a text must nobody see who reads it elsewhere: a message to other systems, a bundle for support?

By what stands before a secret (a name such as ``password``, a header, the user of a URL), by its own look (tokens of
Keystone, hashes of passwords, keys), and by value where the secrets are known. It rather hides too much.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from urllib.parse import unquote

HIDDEN = "***"
#: Words in the name of something that is secret.
NAMES = r"passw|passphrase|pass(?![a-z])|secret|token|credential|private_key|api_key|access_key|auth_key|encryption_key"
_SETTING = re.compile(r"^(\s*)([\w.-]+)(\s*[=:][ \t]*)(.*)$")
_IN_URL = re.compile(r"://[^\s:/@\"'<>]*:([^\s\"'<>]*?)@")
_IS_SECRET = re.compile(NAMES, re.IGNORECASE)
_PATTERNS = (
    re.compile(r"(-----BEGIN [A-Z0-9 ]+-----).*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL),
    re.compile(r"(\b[a-z][\w+.-]*://[^\s:/@\"'<>]*:)[^\s\"'<>]*(?=@)", re.IGNORECASE),
    re.compile(r"(\b(?:bearer|basic)\s+)[\w.~+/=-]{4,}", re.IGNORECASE),
    re.compile(r"(\b(?:x-[\w-]*token|authorization|cookie)\b[\"']?\s*[:=]\s*[\"']?)[^\s\"',}]+", re.IGNORECASE),
    re.compile(
        rf"([\w.-]*(?:{NAMES})[\w.-]*[\"']?\s*(?:[:=]|=>)\s*u?)(\"[^\"]*\"|'[^']*'|[^\s,;}}&)\]]+)", re.IGNORECASE
    ),
    re.compile(r"()\bgAAAA[\w=-]{16,}"),
    re.compile(r"()\$2[abxy]\$\d\d\$[./A-Za-z0-9]{20,}"),
    re.compile(r"()\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"),
)


def is_secret(name: str) -> bool:
    """Whether something of this name is secret."""
    return bool(_IS_SECRET.search(name))


class Redactor:
    """Hides secrets, those known by value among them."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # Short ones would hide half of the text; they are hidden by what stands before them.
        self._known = sorted({secret for secret in secrets if len(secret) >= 4}, key=len, reverse=True)

    def text(self, value: str) -> str:
        """The text with ``***`` in the place of each secret."""
        for secret in self._known:
            value = value.replace(secret, HIDDEN)
        for pattern in _PATTERNS:
            value = pattern.sub(rf"\g<1>{HIDDEN}", value)
        return value

    def value(self, value: Any) -> Any:
        """The same for JSON; what has the name of a secret is hidden whatever it is."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {
                self.text(str(name)): HIDDEN if is_secret(str(name)) and isinstance(entry, str) else self.value(entry)
                for name, entry in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.value(entry) for entry in value]
        return value

    def settings(self, text: str, names: Collection[str] = ()) -> str:
        """A file of settings without its secrets: those named so, and those with one of ``names``."""
        return "\n".join(self._setting(line, hidden) for line, hidden in _lines(text, names))

    def _setting(self, line: str, hidden: bool) -> str:
        found = _SETTING.match(line)
        if not hidden:
            return self.text(line)
        return f"{found[1]}{found[2]}{found[3]}{HIDDEN}" if found else HIDDEN


def secrets_in(text: str, names: Collection[str] = ()) -> set[str]:
    """The secrets in a file of settings: see ``Redactor.settings``; and the passwords in its URLs, also decoded."""
    found = set()
    for line, hidden in _lines(text, names):
        match = _SETTING.match(line)
        if hidden:
            found.add((match[4] if match else line).strip().strip("\"'"))
    found.update(_IN_URL.findall(text))
    return {secret for secret in found | set(map(unquote, found)) if secret}


def _lines(text: str, names: Collection[str]) -> Iterable[tuple[str, bool]]:
    """Each line, and whether it holds a secret; a secret may go on in indented lines."""
    hidden = False
    for line in text.splitlines():
        match = _SETTING.match(line)
        if not (hidden and line[:1].isspace()):
            hidden = match is not None and (match[2] in names or is_secret(match[2])) and bool(match[4].strip())
        yield line, hidden
