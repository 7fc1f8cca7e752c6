# SPDX-License-Identifier: Apache-2.0
"""What does qemu-img know of an image, and what can it do to one?

Every call takes the format from the caller. A format is never guessed: a guest can write a qcow2 header that names any
file of the host into its raw disk, and a guess would then read that file. For the same reason a base image is always
written down together with its format.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from karbor.common import command
from karbor.model import errors

FORMATS = ("raw", "qcow2")
#: Limits for looking at an image that somebody else made: address space in bytes, CPU seconds.
_MEMORY, _CPU_SECONDS = 2 << 30, 30
_TIMEOUT = 60.0


@dataclass(frozen=True)
class Bitmap:
    """A dirty bitmap stored in a qcow2 image. ``broken``: it was not saved when its QEMU died; it says nothing."""

    name: str
    granularity: int
    recording: bool
    broken: bool


@dataclass(frozen=True)
class ImageInfo:
    """``compat`` is "0.10" or "1.1" for qcow2, None for raw. ``backing`` is the path of the base image or None."""

    format: str
    virtual_size: int
    actual_size: int
    compat: str | None
    backing: str | None
    backing_format: str | None
    bitmaps: tuple[Bitmap, ...]

    def bitmap(self, name: str) -> Bitmap | None:
        return next((found for found in self.bitmaps if found.name == name), None)


def checked(path: str, format: str) -> str:
    """``path``, fit for a command line of QEMU. Raises InvalidInput for other formats and for what is no plain path.

    QEMU takes "nbd:...", "json:{...}" and the like as something else than a file; an absolute path cannot be mistaken.
    """
    if format not in FORMATS:
        raise errors.InvalidInput(f"Disks of the format {format} are not supported.")
    if not Path(path).is_absolute() or "\0" in path:
        raise errors.InvalidInput("The path of a disk must be absolute.", detail=repr(path))
    return path


def info(path: str, format: str) -> ImageInfo:
    """What the header says; works on images that a running guest uses, whose bitmaps then show as broken.

    Raises ResourceNotFound where there is no such file, StepFailed where it is not of that format.
    """
    _exists(checked(path, format))
    limits = ["prlimit", f"--as={_MEMORY}", f"--cpu={_CPU_SECONDS}"]
    arguments = [*limits, "qemu-img", "info", "-U", "--output=json", "-f", format, path]
    found: dict[str, Any] = json.loads(command.run(arguments, timeout=_TIMEOUT))
    special = found.get("format-specific", {}).get("data", {})
    return ImageInfo(
        format=found["format"],
        virtual_size=found["virtual-size"],
        actual_size=found.get("actual-size", 0),
        compat=special.get("compat"),
        backing=found.get("full-backing-filename") or found.get("backing-filename"),
        backing_format=found.get("backing-filename-format"),
        bitmaps=tuple(
            Bitmap(entry["name"], entry["granularity"], "auto" in entry["flags"], "in-use" in entry["flags"])
            for entry in special.get("bitmaps", ())
        ),
    )


def create(path: str, format: str, size: int, *, backing: tuple[str, str] | None = None) -> None:
    """A new image, qcow2 always as version 3. ``backing`` is (path, format) of a base image. Replaces what is there."""
    if not 0 <= size < 1 << 63:
        raise errors.InvalidInput(f"A disk of {size} bytes is not possible.")
    arguments = ["qemu-img", "create", "-q", "-f", format]
    if format == "qcow2":
        arguments += ["-o", "compat=1.1"]
    if backing:
        arguments += ["-b", checked(*backing), "-F", backing[1]]
    command.run([*arguments, checked(path, format), str(size)], timeout=_TIMEOUT)


def add_bitmap(path: str, name: str, *, granularity: int = 65536) -> None:
    """A new recording bitmap in a qcow2 v3 image that nobody has open. Raises StepFailed where it exists already."""
    _exists(checked(path, "qcow2"))
    command.run(
        ["qemu-img", "bitmap", "--add", "-g", str(granularity), "-f", "qcow2", path, _name(name)], timeout=_TIMEOUT
    )


def remove_bitmap(path: str, name: str) -> None:
    """Remove a bitmap, also a broken one, from an image that nobody has open; no error where it is not there."""
    if info(path, "qcow2").bitmap(name):
        command.run(["qemu-img", "bitmap", "--remove", "-f", "qcow2", path, _name(name)], timeout=_TIMEOUT)


def _exists(path: str) -> None:
    try:
        Path(path).stat()
    except FileNotFoundError as fault:
        raise errors.ResourceNotFound("The disk image does not exist.", detail=str(fault)) from fault
    except OSError as fault:
        raise errors.Unavailable("The disk image cannot be reached.", detail=str(fault)) from fault


def _name(name: str) -> str:
    if not name or name.startswith("-") or len(name.encode()) > 1023:
        raise errors.InvalidInput(f"{name!r} cannot be the name of a bitmap.")
    return name
