# SPDX-License-Identifier: Apache-2.0
"""Which parts of a text must nobody see who reads it elsewhere: a message to other systems, a bundle for support?

By what stands before a secret (a name such as ``password``, a header, the user of a URL), by its own look (tokens of
Keystone, hashes of passwords, keys), and by value where the secrets are known. It rather hides too much.
"""

import re
from collections.abc import Iterable

HIDDEN = "***"
#: Words in the name of something that is secret.
NAMES = r"passw|passphrase|secret|token|credential|private_key|api_key|access_key|auth_key|encryption_key"
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
