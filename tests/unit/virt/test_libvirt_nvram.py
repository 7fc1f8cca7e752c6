# SPDX-License-Identifier: Apache-2.0
"""Are firmware variables kept only when they can be, and never taken for what they are not?"""

import pytest

from karbor.model import errors
from karbor.virt import libvirt_nvram, libvirt_xml


def domain(nvram):
    return libvirt_xml.parse(f"<domain><os><type>hvm</type>{nvram}</os></domain>")


def test_both_ways_to_write_the_path_are_known():
    assert libvirt_nvram.path_of(domain("<nvram template='/t'>/n/v.fd</nvram>")) == "/n/v.fd"
    assert libvirt_nvram.path_of(domain("<nvram type='file'><source file='/n/w.fd'/></nvram>")) == "/n/w.fd"
    assert libvirt_nvram.path_of(domain("")) == "" == libvirt_nvram.path_of(domain("<nvram/>"))


def test_a_file_that_is_too_large_or_missing_is_not_kept(tmp_path):
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(5 << 20)
    for path in (large, tmp_path / "gone"):
        root = domain(f"<nvram>{path}</nvram>")
        libvirt_nvram.put_in(root)
        assert libvirt_nvram.take_out(root) is None


def test_damaged_variables_are_said_to_be_damaged(tmp_path):
    (tmp_path / "v").write_bytes(b"x")
    root = domain(f"<nvram>{tmp_path / 'v'}</nvram>")
    libvirt_nvram.put_in(root)
    root.find("metadata")[0].text = "AAAA"
    with pytest.raises(errors.IntegrityError):
        libvirt_nvram.take_out(root)


def test_only_its_own_file_is_removed_with_a_domain(tmp_path):
    other = tmp_path / "other.fd"
    other.touch()
    root = domain(f"<nvram>{other}</nvram>")
    libvirt_nvram.remove(root, tmp_path, name="copy")
    libvirt_nvram.place(root, b"v", tmp_path, name="copy")
    assert (tmp_path / "copy-vars.fd").read_bytes() == b"v"
    libvirt_nvram.remove(root, tmp_path, name="copy")
    assert [path.name for path in tmp_path.iterdir()] == ["other.fd"]
