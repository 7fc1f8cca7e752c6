# SPDX-License-Identifier: Apache-2.0
"""Are logical volumes found where LVM2 put them, and is no damage of its metadata more than an error?"""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karbor.virt.files.disk import Window
from karbor.virt.files.lvm import logical_volumes
from tests.support import images
from tests.support.images import MIB, BytesDisk

DISK = images.lvm(b"the root")
WORDS = ("striped", "stripe_count = 1", "pv0", "extent_count", "VISIBLE", "segment_count = 2", "EFIsLg", "{", "]")


def found(data):
    disk = BytesDisk(data)
    return dict(logical_volumes(Window(disk.read, 0, disk.size)))


def test_each_is_where_it_lies_also_in_pieces():
    volumes = found(DISK)
    assert {name: window.size // MIB for name, window in volumes.items()} == {"root": 32, "small": 12, "extra": 4}
    assert volumes["root"].bytes_at(0, 8) == b"the root"
    assert (volumes["small"].bytes_at(0, 5), volumes["small"].bytes_at(8 * MIB, 6)) == (b"first", b"second")
    across = volumes["small"].bytes_at(8 * MIB - 2, 8)
    assert across == b"\0\0second" and len(volumes["small"].bytes_at(0, 12 * MIB)) == 12 * MIB


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (b'"striped"', b'"raid1"  ', "lvm2 raid1"),
        (b"stripe_count = 1", b"stripe_count = 2", "lvm2 of several disks"),
    ],
)
def test_what_does_not_lie_on_this_disk_alone_is_named_so(old, new, told):
    volume = found(DISK.replace(old, new))["root"]
    assert (volume.told, volume.size) == (told, 0)


def test_a_volume_that_ends_behind_the_disk_is_damaged():
    assert found(DISK[: 20 * MIB])["root"].told == "lvm2, damaged"


@given(st.sampled_from(WORDS), st.binary(min_size=1, max_size=6))
def test_other_words_end_in_an_error_that_is_known(word, other):
    head = DISK[:MIB].replace(word.encode(), other)[:MIB]
    with contextlib.suppress(OSError, RuntimeError, LookupError, ValueError, struct.error):
        found(head + bytes(MIB - len(head)) + bytes(63 * MIB))
