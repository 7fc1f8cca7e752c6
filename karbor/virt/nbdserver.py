# SPDX-License-Identifier: Apache-2.0
"""How is an image that no guest has open offered over NBD, by a process that cannot outlive us?

qemu-nbd runs below a small shell that holds one end of a pipe. When the pipe closes, be it that we close it or that we
are killed, the shell ends qemu-nbd. A death signal of the kernel is no choice: it is tied to the thread that started
the process, and ours come and go.
"""

import os
import secrets
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from karbor.common import command
from karbor.common.clock import Clock
from karbor.model import errors
from karbor.virt.nbd import NbdConnection
from karbor.virt.qemuimg import checked

_GUARD = """
exec 3<&0 </dev/null
"$@" 3<&- & server=$!
{ read -r line; kill "$server"; } <&3 2>/dev/null & guard=$!
wait "$server"; status=$?
kill "$guard" 2>/dev/null
exit "$status"
"""
#: A source opens a connection per reading thread and two for the map.
_CLIENTS = 64
_START_SECONDS, _END_SECONDS = 30.0, 20.0
#: Room for a path in the address of a unix socket.
_SOCKET_PATH_LIMIT = 107


@contextmanager
def qemu_nbd(
    path: str,
    format: str,
    *,
    export: str,
    socket_dir: str,
    bitmap: str | None = None,
    depth: bool = False,
    read_only: bool = True,
    locked: bool = True,
) -> Iterator[str]:
    """Run qemu-nbd on an image and yield the path of its socket; it has ended when the block is left.

    ``bitmap`` is the name of a bitmap in the image; its meta context is ``dirty_bitmap(bitmap)``. ``depth`` offers the
    meta context ALLOCATION_DEPTH. ``locked`` false: read without locks, so that a guest can be started on the image
    meanwhile; the caller then finds out whether it was. ``socket_dir`` is made where it is missing (only we may enter
    it) and must be short.
    Raises ResourceNotFound (no image), StepFailed (qemu-nbd refuses it, or a guest uses it), Unavailable (not
    installed, no answer).
    """
    if not Path(checked(path, format)).exists():
        raise errors.ResourceNotFound("The disk image does not exist.", detail=path)
    Path(socket_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
    socket_path = str(Path(socket_dir) / f"{secrets.token_hex(6)}.sock")
    if len(os.fsencode(socket_path)) > _SOCKET_PATH_LIMIT:
        raise errors.ConfigurationError(detail=f"{socket_path} is too long for a unix socket")
    arguments = ["qemu-nbd", "--persistent", f"--shared={_CLIENTS}", f"--socket={socket_path}"]
    arguments += [f"--export-name={export}"]
    arguments += ["--read-only"] if read_only else ["--discard=unmap"]
    arguments += [f"--bitmap={bitmap}"] if bitmap else []
    arguments += ["--allocation-depth"] if depth else []
    with tempfile.TemporaryFile() as complaints:
        process = command.start(
            ["sh", "-c", _GUARD, "karbor-nbd-guard", *arguments, *_image(path, format, locked=locked)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            start_new_session=True,  # so that the whole group can be killed, and Ctrl-C does not reach it
        )
        try:
            _wait_until_it_serves(process, socket_path, export, complaints)
            yield socket_path
        finally:
            _end(process)
            Path(socket_path).unlink(missing_ok=True)


def _image(path: str, format: str, *, locked: bool) -> list[str]:
    """How the image is named on the command line."""
    if locked:
        return [f"--format={format}", path]
    protocol = "host_device" if Path(path).is_block_device() else "file"
    plain = path.replace(",", ",,")
    return [
        "--image-opts",
        f"driver={format},read-only=on,force-share=on,file.driver={protocol},file.filename={plain}",
    ]


def _wait_until_it_serves(
    process: "subprocess.Popen[bytes]", socket_path: str, export: str, complaints: IO[bytes]
) -> None:
    """A socket that accepts proves nothing: qemu-nbd listens before it opens the image. A handshake does."""
    clock = Clock()
    deadline = clock.monotonic() + _START_SECONDS
    while not _serves(socket_path, export):
        try:
            process.wait(timeout=0.02)
        except subprocess.TimeoutExpired:
            if clock.monotonic() < deadline:
                continue
            raise errors.Unavailable(
                "The disk image could not be opened in time.", detail="qemu-nbd does not answer"
            ) from None
        complaints.seek(0)
        tail = complaints.read()[-500:].decode(errors="replace").strip()
        if process.returncode == 127:
            raise errors.Unavailable("The program qemu-nbd is not installed on this host.", detail=tail)
        raise errors.StepFailed("The disk image could not be opened.", detail=f"qemu-nbd: {tail}")


def _serves(socket_path: str, export: str) -> bool:
    try:
        NbdConnection(socket_path, export, contexts=(), timeout=_START_SECONDS).close()
    except errors.CaptureLost:
        return False
    return True


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End qemu-nbd and wait for it: it holds the lock of the image as long as it lives."""
    if process.stdin:
        process.stdin.close()
    try:
        process.wait(timeout=_END_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=_END_SECONDS)
