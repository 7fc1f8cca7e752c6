# SPDX-License-Identifier: Apache-2.0
"""Is a scratch directory that QEMU's user cannot reach found before a guest is touched?"""

import os

import pytest

from karbor.virt import libvirt_method

STRANGER = (65534, 65534)


@pytest.fixture
def place(tmp_path):
    """A directory below one whose mode a test sets; what lies above is open."""
    for above in tmp_path.parents:
        if above.stat().st_uid == os.geteuid() and not above.stat().st_mode & 0o001:
            above.chmod(above.stat().st_mode | 0o011)
    tmp_path.chmod(0o711)
    inner = tmp_path / "closed" / "scratch"
    inner.mkdir(parents=True)
    return inner


def test_a_way_that_is_open_is_open(place):
    place.parent.chmod(0o711)
    assert libvirt_method._closed_to(STRANGER, place) is None


def test_the_directory_that_closes_the_way_is_named(place):
    place.parent.chmod(0o700)
    assert libvirt_method._closed_to(STRANGER, place) == place.parent


def test_root_may_go_everywhere(place):
    place.parent.chmod(0o000)
    assert libvirt_method._closed_to((0, 0), place) is None
    place.parent.chmod(0o700)


def test_the_bits_of_the_owner_and_of_the_group_count(place):
    place.parent.chmod(0o010)
    found = place.parent.stat()
    assert libvirt_method._closed_to((found.st_uid + 1, found.st_gid), place) is None
    place.parent.chmod(0o100)
    if found.st_uid != 0:
        assert libvirt_method._closed_to((found.st_uid, found.st_gid), place) is None
    place.parent.chmod(0o700)
