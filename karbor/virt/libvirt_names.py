# SPDX-License-Identifier: Apache-2.0
"""By which names are trackers, captures and their files found again, also by a process that did not make them?

A capture is named by (domain, scope, token). Its files lie in the scratch directory:

=======================================  ===========================================================
``karbor-DOMAIN-SCOPE8-TOKEN.capture``   the record of the capture (JSON)
``karbor-DOMAIN-SCOPE8-TOKEN.T.scratch`` old blocks of disk T while a pull backup stands
``karbor-DOMAIN-SCOPE8-TOKEN.T.overlay`` new blocks of disk T while an external snapshot stands
``karbor-HASH.sock``                     NBD socket; short, because a socket path has 107 characters at most
``karbor-DOMAIN.frozen``                 the guest was frozen by us and not yet thawed
``karbor-DOMAIN-TOKEN.held``             the same, for as long as its volumes are captured elsewhere
=======================================  ===========================================================
"""

import hashlib
import re
import uuid
from dataclasses import dataclass
from pathlib import Path

from karbor.model import errors

_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}\Z")
_FILE = re.compile(
    r"karbor-(?P<domain>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-(?P<scope>[A-Za-z0-9]{1,8})-(?P<token>[A-Za-z0-9-]+)"
    r"\.(?:(?P<target>[A-Za-z0-9_-]+)\.)?(?P<kind>capture|scratch|overlay)\Z"
)
_FROZEN = re.compile(r"karbor-(?P<domain>[0-9a-f-]{36})\.frozen\Z")
_HELD = re.compile(r"karbor-(?P<domain>[0-9a-f-]{36})-(?P<token>[A-Za-z0-9-]+)\.held\Z")
_SOCKET_PATH_LIMIT = 107


def short_scope(scope: str) -> str:
    """The first eight letters and digits of a scope: enough to keep the trackers of providers apart."""
    return re.sub(r"[^A-Za-z0-9]", "", scope)[:8] or "0"


def tracker_name(scope: str, token: str) -> str:
    """The name of the libvirt checkpoint (and of its bitmaps) that a capture makes."""
    return f"karbor-{short_scope(scope)}-{_checked(token)}"


def _checked(token: str) -> str:
    if not _TOKEN.match(token):
        raise errors.InvalidInput("Not a capture token.", detail=repr(token[:80]))
    return token


def tracker_token(scope: str, name: str) -> str | None:
    """The token in a tracker name of this scope; None for any other name."""
    prefix = f"karbor-{short_scope(scope)}-"
    return name[len(prefix) :] if name.startswith(prefix) else None


def is_tracker(name: str) -> bool:
    """Whether a libvirt checkpoint or a bitmap of that name is ours, of whatever scope."""
    return name.startswith("karbor-")


def disk_id(domain_id: str, target: str) -> str:
    """The resource id of a disk. Stable as long as the domain keeps its UUID and the disk its target."""
    return str(uuid.uuid5(uuid.UUID(domain_id), target))


@dataclass(frozen=True)
class FileName:
    """What the name of a file in the scratch directory says."""

    domain_id: str
    scope8: str
    token: str
    target: str
    kind: str  # "capture" | "scratch" | "overlay"


def parse_file(path: str | Path) -> FileName | None:
    """What the name says; None where the file is none of a capture."""
    found = _FILE.match(Path(path).name)
    if not found:
        return None
    return FileName(found["domain"], found["scope"], found["token"], found["target"] or "", found["kind"])


def parse_frozen(path: str | Path) -> str | None:
    """The domain id of a freeze marker; None for any other file."""
    found = _FROZEN.match(Path(path).name)
    return found["domain"] if found else None


def held_marker(scratch_dir: Path, domain_id: str, token: str) -> Path:
    """The file that stands as long as a guest is held by that token. Raises InvalidInput."""
    return scratch_dir / f"karbor-{domain_id}-{_checked(token)}.held"


def parse_held(path: str | Path) -> tuple[str, str] | None:
    """Domain id and token of such a file; None for any other."""
    found = _HELD.match(Path(path).name)
    return (found["domain"], found["token"]) if found else None


@dataclass(frozen=True)
class CaptureFiles:
    """The paths of one capture's files."""

    scratch_dir: Path
    domain_id: str
    scope: str
    token: str

    @property
    def stem(self) -> str:
        return f"karbor-{self.domain_id}-{short_scope(self.scope)}-{self.token}"

    @property
    def tracker(self) -> str:
        return tracker_name(self.scope, self.token)

    @property
    def record(self) -> Path:
        return self.scratch_dir / f"{self.stem}.capture"

    @property
    def socket(self) -> Path:
        """Raises ConfigurationError where the scratch directory's own path is too long for a socket in it."""
        digest = hashlib.sha256(self.stem.encode()).hexdigest()[:12]
        path = self.scratch_dir / f"karbor-{digest}.sock"
        if len(str(path)) > _SOCKET_PATH_LIMIT:
            raise errors.ConfigurationError(
                "The path of the scratch directory is too long.",
                detail=f"{path} has more than {_SOCKET_PATH_LIMIT} characters",
                next_action="set scratch_dir of the libvirt hypervisor to a shorter path",
            )
        return path

    def scratch(self, target: str) -> Path:
        return self.scratch_dir / f"{self.stem}.{target}.scratch"

    def overlay(self, target: str) -> Path:
        return self.scratch_dir / f"{self.stem}.{target}.overlay"

    def frozen_marker(self) -> Path:
        return self.scratch_dir / f"karbor-{self.domain_id}.frozen"
