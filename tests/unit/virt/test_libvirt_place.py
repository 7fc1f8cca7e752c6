# SPDX-License-Identifier: Apache-2.0
"""May a disk only be restored to where the operator allows, and never over a file that is there?"""

import pytest

from karbor.model import errors
from karbor.virt.libvirt_connection import Connection
from karbor.virt.libvirt_place import Places


def places(*roots, default="/nonexistent"):
    return Places(Connection("test:///default"), roots=[str(root) for root in roots], default=str(default))


def test_a_new_file_in_a_directory(tmp_path):
    assert places().target_path(directory=str(tmp_path), pool=None, name="a.img") == str(tmp_path / "a.img")
    assert places(default=tmp_path).target_path(directory=None, pool=None, name="a.img") == str(tmp_path / "a.img")


@pytest.mark.parametrize("name", ["", "../a", "a/b", ".hidden", "-a", "a b", "x" * 300, "a\n"])
def test_a_name_that_is_no_plain_file_name_is_refused(tmp_path, name):
    with pytest.raises(errors.InvalidInput):
        places().target_path(directory=str(tmp_path), pool=None, name=name)


def test_what_exists_is_never_replaced(tmp_path):
    (tmp_path / "a").touch()
    (tmp_path / "b").symlink_to("/nonexistent")
    for name in ("a", "b"):
        with pytest.raises(errors.Conflict):
            places().target_path(directory=str(tmp_path), pool=None, name=name)


def test_a_missing_or_relative_directory_is_refused(tmp_path):
    for directory in (str(tmp_path / "gone"), "relative", "."):
        with pytest.raises(errors.InvalidInput):
            places().target_path(directory=directory, pool=None, name="a")


def test_only_allowed_roots_also_through_links(tmp_path):
    allowed, other = tmp_path / "allowed", tmp_path / "other"
    (allowed / "deep").mkdir(parents=True)
    other.mkdir()
    (allowed / "link").symlink_to(other)
    found = places(allowed)
    assert found.target_path(directory=str(allowed / "deep"), pool=None, name="a")
    for directory in (other, allowed / "link", allowed / ".." / "other"):
        with pytest.raises(errors.InvalidInput):
            found.target_path(directory=str(directory), pool=None, name="a")
    with pytest.raises(errors.InvalidInput):
        found.check_path(str(other / "a"))
    assert found.check_path(str(allowed / "a")) == str(allowed / "a")


def test_a_pool_is_looked_up_and_must_be_there(tmp_path):
    with pytest.raises(errors.InvalidInput):
        places().target_path(directory=str(tmp_path), pool="p", name="a")
    with pytest.raises(errors.InvalidInput, match="no storage pool"):
        places().target_path(directory=None, pool="no-such", name="a")
    with pytest.raises(errors.InvalidInput, match="does not exist"):
        places().target_path(directory=None, pool="default-pool", name="a")
