# SPDX-License-Identifier: Apache-2.0
"""Does this password belong to this user (auth_strategy http_basic)?

One line of the file for each user: ``name:bcrypt-hash:project-id:role,role``. ``htpasswd -nB name`` makes the first two
parts. The file is read again when it changed.
"""

import base64
import binascii
import hashlib
import hmac
import logging
import os
import re
import secrets
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import bcrypt
import webob

from karbor.api.auth import context_for
from karbor.api.limits import Rate
from karbor.common.clock import Clock
from karbor.common.context import RequestContext
from karbor.model import errors

LOG = logging.getLogger(__name__)
#: As the project of a user: every project, as the URL of a request names it. For the operation engine.
EVERY_PROJECT = "*"
ROLES = frozenset(("reader", "member", "admin"))
CACHE_SECONDS = 60.0
CACHE_SIZE = 1000
HASHING_SECONDS = 10.0  # that a login waits for others whose passwords are being looked at
_HASH = re.compile(r"\$2[abxy]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
_REFUSED = "The user name or the password is wrong."


@dataclass(frozen=True)
class User:
    """One line of the file."""

    name: str
    hash: bytes
    project_id: str
    roles: tuple[str, ...]


class HttpBasic:
    """Checks passwords against the file. ``_lock`` guards everything but the hashing itself.

    A wrong password costs as much as an unknown user. A right one is remembered for a minute under a keyed hash, so
    that not every request pays for bcrypt. Of the others, one for each processor is looked at at a time, and an address
    that sent too many wrong ones waits.
    """

    challenge = 'Basic realm="karbor"'

    def __init__(self, path: Path, *, clock: Clock, failed_per_minute: int = 0) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._secret = secrets.token_bytes(32)
        self._failed = Rate(failed_per_minute, clock=clock, what="failed logins")
        self._hashing = threading.BoundedSemaphore(os.cpu_count() or 1)
        self._known: dict[bytes, tuple[User, float]] = {}
        self._stamp: tuple[int, int] | None = None
        self._users: Mapping[str, User] = {}
        self._dummy = b""
        self._load()

    def identify(self, request: webob.Request, *, project_id: str) -> RequestContext:
        """The context of the user. Raises Unauthorized, TooMany, Unavailable."""
        name, password = _credentials(request)
        user = self._verify(name, password, address=request.remote_addr or "")
        project_id = project_id if user.project_id == EVERY_PROJECT else user.project_id
        return context_for(request, user=user.name, project_id=project_id, roles=user.roles)

    def _verify(self, name: str, password: bytes, *, address: str) -> User:
        with self._lock:
            self._reload()
            users, dummy = self._users, self._dummy
            mark = hmac.digest(self._secret, name.encode() + b"\0" + password, hashlib.sha256)
            remembered = self._known.get(mark)
            if remembered and remembered[1] > self._clock.monotonic():
                return remembered[0]
        self._failed.check(address)
        user = users.get(name)
        right = self._matches(password, user.hash if user else dummy)
        if user is None or not right:
            LOG.info("login refused user=%r address=%s", name[:64], address)
            self._failed.take(address)
            raise errors.Unauthorized(_REFUSED)
        with self._lock:
            if len(self._known) >= CACHE_SIZE:
                self._known.clear()
            if users is self._users:
                self._known[mark] = (user, self._clock.monotonic() + CACHE_SECONDS)
        return user

    def _matches(self, password: bytes, hashed: bytes) -> bool:
        if not self._hashing.acquire(timeout=HASHING_SECONDS):
            raise errors.Unavailable("Too many logins are being looked at. Try again later.")
        try:
            return bcrypt.checkpw(password[:72], hashed) and len(password) <= 72
        except ValueError:
            return False
        finally:
            self._hashing.release()

    def _reload(self) -> None:
        """Take over a changed file; a broken one is logged, and the users of before stay."""
        try:
            found = self._path.stat()
            if (found.st_mtime_ns, found.st_ino) != self._stamp:
                self._load()
        except (OSError, errors.ConfigurationError) as fault:
            LOG.error("user file not read file=%s cause=%s", self._path, fault)

    def _load(self) -> None:
        try:
            found = self._path.stat()
            text = self._path.read_text()
        except (OSError, UnicodeError) as fault:
            raise errors.ConfigurationError(
                f"The file of users {self._path} cannot be read.",
                detail=str(fault),
                next_action="set http_basic_auth_user_file",
            ) from fault
        self._stamp = (found.st_mtime_ns, found.st_ino)
        self._users = parse(text)
        self._dummy = stand_in(self._users.values())
        self._known = {}


def parse(text: str) -> dict[str, User]:
    """The users of a file. Raises ConfigurationError naming the first wrong line."""
    users: dict[str, User] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.strip().split(":")
        if len(parts) != 4 or not all(parts):
            raise errors.ConfigurationError(f"Line {number} of the user file is not name:hash:project:roles.")
        name, hashed, project_id, roles = parts
        held = tuple(role.strip() for role in roles.split(","))
        if not set(held) <= ROLES:
            raise errors.ConfigurationError(f"Line {number} of the user file: roles are {', '.join(sorted(ROLES))}.")
        if not _HASH.fullmatch(hashed):
            raise errors.ConfigurationError(f"Line {number} of the user file holds no bcrypt hash.")
        users[name] = User(name, hashed.encode(), project_id, held)
    return users


def stand_in(users: Iterable[User]) -> bytes:
    """A hash that no password fits, and that costs as much to try as the dearest of the users'."""
    costs = [int(user.hash.split(b"$")[2]) for user in users]
    return bcrypt.gensalt(max(costs, default=10)) + b"." * 31


def _credentials(request: webob.Request) -> tuple[str, bytes]:
    """From the Authorization header, or as the old client sends them without a token."""
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            name, colon, password = base64.b64decode(given.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeError):
            raise errors.Unauthorized("The Authorization header is malformed.") from None
        if colon:
            return name, password.encode()
    elif "X-Auth-User" in request.headers and "X-Auth-Key" in request.headers:
        return request.headers["X-Auth-User"], request.headers["X-Auth-Key"].encode()
    raise errors.Unauthorized("Authentication is required.")
