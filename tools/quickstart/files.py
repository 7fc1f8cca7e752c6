# SPDX-License-Identifier: Apache-2.0
"""Which files does the guest of the quickstart hold, how do they change, and how is that recorded?

All of it happens inside the guest. Files below ``/mnt/*/busy`` are written without a pause while a backup runs; nobody
can know their content at the instant of the checkpoint, so they are not compared. All other files are.
"""

from tools.lab.guest import Guest, GuestError

_MAKE = r"""
make() { # directory, number of files, KiB of each
    mkdir -p $1; n=0
    while [ $n -lt $2 ]; do dd if=/dev/urandom of=$1/file-$n bs=${3}k count=1 2>/dev/null || exit 1; n=$((n+1)); done
}
"""
_WRITE = (
    _MAKE
    + r"""
make /mnt/vda/settings 40 16; make /mnt/vdb/mail 150 96; make /mnt/vdb/databases 5 24576
make /mnt/vdc/archive 40 512; make /mnt/vdc/small 60 4
sync
"""
)
# About 5 %: files written anew, a range in the middle of a large file, a file appended to, removed and new ones.
_CHANGE = (
    _MAKE
    + r"""
make /mnt/vda/settings 4 16; make /mnt/vda/change-$round 4 64
dd if=/dev/urandom of=/mnt/vdb/databases/file-1 bs=64k count=40 seek=$((40 * round)) conv=notrunc 2>/dev/null
dd if=/dev/urandom bs=64k count=20 2>/dev/null >>/mnt/vdb/databases/file-2
make /mnt/vdb/change-$round 30 96; make /mnt/vdc/change-$round 3 512
rm /mnt/vdb/mail/file-$((20 + round)) /mnt/vdc/archive/file-$((10 + round))
mv /mnt/vdc/small/file-$round /mnt/vdc/small/renamed-$round
sync; fstrim /mnt/vdb
"""
)
_BUSY = r"""
mkdir -p /mnt/vda/busy /mnt/vdb/busy /mnt/vdc/busy; n=0
while [ -e /run/busy ]; do
    for d in vda vdb vdc; do dd if=/dev/urandom of=/mnt/$d/busy/$((n % 8)) bs=64k count=4 conv=fsync 2>/dev/null; done
    n=$((n+1)); usleep 20000
done
"""
_LIST = r"cd /mnt && find . -type f ! -path './*/busy/*' | sort | xargs sha256sum"


def write(guest: Guest) -> None:
    """Write the first known files, about 180 MiB."""
    guest.run(_WRITE, seconds=180)


def change(guest: Guest, number: int) -> None:
    """Change about 5 % of the known files; ``number`` tells one change from the next."""
    guest.run(f"round={number}\n{_CHANGE}", seconds=120)


def begin_busy(guest: Guest) -> None:
    """Start the writer that does not stop for a backup."""
    guest.run("touch /run/busy")
    guest.begin(_BUSY)


def end_busy(guest: Guest) -> None:
    """Ask the writer to end."""
    guest.run("rm -f /run/busy")


def hashes(guest: Guest) -> dict[str, str]:
    """SHA-256 of every known file, computed in the guest, by path. Raises GuestError where there is none."""
    found = {}
    for line in guest.run(_LIST, seconds=240).splitlines():
        digest, _, path = line.partition("  ")
        found[path] = digest
    if not found:
        raise GuestError(f"guest {guest.name} has no files")
    return found


def differences(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """One line for each file that is missing, new or different."""
    lines = [f"missing: {path}" for path in sorted(expected.keys() - found.keys())]
    lines += [f"not there at that point: {path}" for path in sorted(found.keys() - expected.keys())]
    lines += [f"different: {path}" for path in sorted(expected.keys() & found.keys()) if expected[path] != found[path]]
    return lines
