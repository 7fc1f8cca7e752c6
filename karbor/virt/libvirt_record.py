# SPDX-License-Identifier: Apache-2.0
"""What does a driver write down about a capture, so that another process can use it or clean it up?

A record is written before anything is done to the guest ("beginning") and again when the view stands ("standing").
A capture that had to be given up is "lost", with the reason.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from karbor.common import durable
from karbor.model import errors
from karbor.sdk.hypervisor import Capture
from karbor.virt.libvirt_names import CaptureFiles, parse_file

BEGINNING, STANDING, LOST = "beginning", "standing", "lost"


@dataclass(frozen=True)
class CaptureRecord:
    """``capture`` is None while it is beginning. ``scope`` is the full scope: file names hold its beginning only.

    ``sources`` maps a disk target to (path, format) of what was captured; a killed snapshot is undone with it.
    """

    files: CaptureFiles
    phase: str
    method: str
    sources: Mapping[str, tuple[str, str]]
    capture: Capture | None = None
    reason: str = ""

    def save(self) -> None:
        """Write it durably. May be called again. Raises Unavailable where the scratch directory takes no files."""
        data = {
            "scope": self.files.scope,
            "phase": self.phase,
            "method": self.method,
            "sources": {target: list(source) for target, source in self.sources.items()},
            "capture": self.capture.to_dict() if self.capture else None,
            "reason": self.reason,
        }
        try:
            durable.write_file(self.files.record, json.dumps(data).encode())
        except OSError as fault:
            raise errors.Unavailable(
                "The scratch directory cannot be written to.", detail=str(fault), next_action="make room in it"
            ) from fault


def load(files: CaptureFiles) -> CaptureRecord | None:
    """The record of one capture; None where there is none, or only an unreadable rest of one."""
    try:
        data: dict[str, Any] = json.loads(files.record.read_bytes())
        return CaptureRecord(
            CaptureFiles(files.scratch_dir, files.domain_id, data["scope"], files.token),
            data["phase"],
            data["method"],
            {target: (path, format_) for target, (path, format_) in data["sources"].items()},
            Capture.from_dict(data["capture"]) if data["capture"] else None,
            data["reason"],
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def found(scratch_dir: Path) -> list[CaptureFiles]:
    """Every capture of which any file lies in the directory, in order of name.

    Where the record is missing, the scope is its first eight characters only.
    """
    known: dict[str, CaptureFiles] = {}
    for path in sorted(scratch_dir.glob("karbor-*")):
        name = parse_file(path)
        if name is None:
            continue
        files = CaptureFiles(scratch_dir, name.domain_id, name.scope8, name.token)
        if files.stem not in known:
            record = load(files)
            known[files.stem] = record.files if record else files
    return list(known.values())


def remove(files: CaptureFiles) -> None:
    """Remove every file of a capture, the record last. Nothing of it may stand any more."""
    for path in files.scratch_dir.glob(f"{files.stem}.*"):
        if path != files.record:
            path.unlink(missing_ok=True)
    files.socket.unlink(missing_ok=True)
    files.record.unlink(missing_ok=True)
