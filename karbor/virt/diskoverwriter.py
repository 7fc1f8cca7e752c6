# SPDX-License-Identifier: Apache-2.0
"""How is a disk that is there set back to a stream, with as little writing as possible?

It is read and compared, and only pages that differ are written, through a qemu-nbd of our own. That holds the locks of
the image, so no guest can be started on it meanwhile, and it keeps dirty bitmaps in the image up to date. What is equal
is not even fetched from the bank. Nothing is remembered on the way: begun anew after a crash, it finds what is done by
comparing.
"""

from pathlib import Path

from karbor.model import errors
from karbor.sdk.streams import Advance, Kind, StreamReader
from karbor.virt import qemuimg
from karbor.virt.diskwriter import opened_for_writing, told
from karbor.virt.nbd import NbdRefused

_IN_USE = ("lock", "in use")  # what qemu-nbd says of an image that a guest has open


def overwrite_image(path: str, format: str, reader: StreamReader, advance: Advance, *, socket_dir: str) -> None:
    """See sdk.hypervisor.Hypervisor.overwrite_disk. ``advance`` is called in this thread, and may raise."""
    place = Path(qemuimg.checked(path, format))
    try:
        with opened_for_writing(path, format, socket_dir=socket_dir) as target:
            if target.size != reader.size:
                raise errors.Conflict(
                    f"The disk {path} has another size than the saved one.",
                    detail=f"{target.size} and {reader.size} bytes",
                    next_action="restore without overwrite_disks",
                )
            for extent in reader.extents():
                if extent.kind is Kind.ZERO:
                    target.clear(extent.offset, extent.length)
                    advance(0)
            reader.scatter(target.put, advance, old=target.read)
            target.flush()
    except (OSError, NbdRefused) as fault:
        raise told(fault, place) from fault
    except errors.StepFailed as fault:
        if any(word in (fault.detail or "") for word in _IN_USE):
            raise errors.Conflict(
                f"The disk {path} is in use.", detail=fault.detail, next_action="stop the guest first"
            ) from fault
        raise
