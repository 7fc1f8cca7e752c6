# SPDX-License-Identifier: Apache-2.0
"""Which disks does the guest of the quickstart have?

=====  =============================================  ==========================================
vda    qcow2 over a base image, as a cloud makes it   ext4; the base carries 64 MiB of files
vdb    qcow2                                          ext4, empty at first
vdc    raw                                            ext4, empty at first
=====  =============================================  ==========================================
"""

import random
import shutil
import subprocess
from pathlib import Path

from tools.lab.guest import Disk

MIB = 1 << 20
BASE_CONTENT_MIB = 64
BASE_SIZE_MIB = 192
DATA_SIZE_MIB = 384
RAW_SIZE_MIB = 128


def make(directory: Path) -> tuple[Disk, ...]:
    """Make the three images anew in ``directory``; what was there is removed."""
    shutil.rmtree(directory, ignore_errors=True)
    content = directory / "content"
    _base_files(content)
    _file_system(directory / "base.raw", BASE_SIZE_MIB, content)
    shutil.rmtree(content)
    _file_system(directory / "data.raw", DATA_SIZE_MIB, None)
    _file_system(directory / "vdc.raw", RAW_SIZE_MIB, None)
    _image("convert", "-f", "raw", "-O", "qcow2", directory / "base.raw", directory / "base.qcow2")
    _image("convert", "-f", "raw", "-O", "qcow2", directory / "data.raw", directory / "vdb.qcow2")
    _image("create", "-q", "-f", "qcow2", "-b", directory / "base.qcow2", "-F", "qcow2", directory / "vda.qcow2")
    (directory / "base.raw").unlink()
    (directory / "data.raw").unlink()
    return (
        Disk("vda", str(directory / "vda.qcow2"), "qcow2"),
        Disk("vdb", str(directory / "vdb.qcow2"), "qcow2"),
        Disk("vdc", str(directory / "vdc.raw"), "raw"),
    )


def _base_files(directory: Path) -> None:
    """Files as an operating system has them: some compress well, some do not, sizes differ. The same in every run."""
    chance = random.Random(7)
    words = [bytes(chance.choices(b"abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 9))) for _ in range(2000)]
    left, number = BASE_CONTENT_MIB * MIB, 0
    while left > 0:
        size = min(left, chance.choice((4096, 20_000, 150_000, 700_000, 2 * MIB)))
        text = b" ".join(chance.choices(words, k=size // 6)) if number % 2 else chance.randbytes(size)
        path = directory / "system" / f"part-{number % 8}" / f"file-{number:04}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text[:size])
        left, number = left - size, number + 1


def _file_system(path: Path, size_mib: int, content: Path | None) -> None:
    with path.open("wb") as image:
        image.truncate(size_mib * MIB)
    source = ["-d", str(content)] if content else []
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", *source, str(path)], check=True, stdin=subprocess.DEVNULL)


def _image(*words: str | Path) -> None:
    subprocess.run(["qemu-img", *map(str, words)], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
