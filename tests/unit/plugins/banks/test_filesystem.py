# SPDX-License-Identifier: Apache-2.0
"""Does the directory bank write durably, say honestly what is wrong, and never make itself anew?"""

import shutil
import subprocess
import sys

import pytest

from karbor.model import errors
from karbor.plugins.banks.filesystem import FilesystemBank


def make(path, **rest):
    return FilesystemBank(FilesystemBank.Settings(file_system_bank_path=str(path), **rest))


@pytest.fixture
def bank(tmp_path):
    found = make(tmp_path)
    found.initialise()
    return found


def every_call(bank):
    return (
        bank.identity,
        lambda: bank.put_if_absent("a/b", b"1"),
        lambda: bank.get("a/b"),
        lambda: bank.stat("a/b"),
        bank.list,
        lambda: bank.list("a/"),
        lambda: bank.delete("a/b"),
    )


def test_objects_are_files_that_only_the_service_reads(bank, tmp_path):
    bank.put_if_absent("a/b", b"content")
    path = tmp_path / "karbor" / "a" / "b"
    assert path.read_bytes() == b"content"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_the_container_can_be_named(tmp_path):
    make(tmp_path, bank_object_container="other").initialise()
    assert (tmp_path / "other").is_dir()


@pytest.mark.parametrize("container", ["", "..", "a/b", ".hidden", "/abs"])
def test_a_container_that_is_no_plain_name_is_refused(tmp_path, container):
    with pytest.raises(errors.ConfigurationError):
        make(tmp_path, bank_object_container=container)


def test_making_the_object_touches_nothing(tmp_path):
    make(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_a_bank_that_went_away_is_unavailable_and_never_made_anew(bank, tmp_path):
    bank.put_if_absent("a/b", b"1")
    shutil.move(tmp_path / "karbor", tmp_path / "away")
    for call in every_call(bank):
        with pytest.raises(errors.BankUnavailable):
            call()
    (tmp_path / "karbor").mkdir()  # as an empty mount point
    for call in every_call(bank):
        with pytest.raises(errors.BankUnavailable):
            call()
    assert list((tmp_path / "karbor").iterdir()) == []


def test_another_bank_in_its_place_is_noticed_before_anything_is_written(bank, tmp_path):
    bank.identity()
    shutil.move(tmp_path / "karbor", tmp_path / "away")
    make(tmp_path).initialise()
    for call in every_call(bank):
        with pytest.raises(errors.BankUnavailable):
            call()
    assert make(tmp_path).list() == []


def test_a_bank_that_lost_its_identity_is_not_given_a_new_one(bank, tmp_path):
    bank.put_if_absent("a/b", b"1")
    (tmp_path / "karbor" / ".karbor-bank").unlink()
    put = lambda: bank.put_if_absent("c", b"1")  # noqa: E731
    for call in (bank.initialise, make(tmp_path).initialise, put, bank.list, lambda: bank.delete("a/b")):
        with pytest.raises(errors.BankUnavailable):
            call()


def test_files_of_a_write_that_was_killed_are_no_objects(bank, tmp_path):
    bank.put_if_absent("a/b", b"1")
    for place in ("", "a"):
        (tmp_path / "karbor" / place / ".tmp-0123456789abcdef").write_bytes(b"half")
    assert [info.name for info in bank.list()] == ["a/b"]


def test_a_directory_is_no_object(bank):
    bank.put_if_absent("a/b", b"1")
    for call in (bank.get, bank.stat):
        for name in ("a", "a/b/c"):
            with pytest.raises(errors.ObjectNotFound):
                call(name)
    with pytest.raises(errors.InvalidInput):
        bank.put_if_absent("a/b/c", b"1")


ROOM = """
import os, subprocess, sys
from karbor.model import errors
from karbor.plugins.banks.filesystem import FilesystemBank
path = sys.argv[1]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", path], check=True)
print("mounted")
bank = FilesystemBank(FilesystemBank.Settings(file_system_bank_path=path))
bank.initialise()
assert bank.put_if_absent("small", b"1")
for name in ("large", "new/large"):
    try:
        bank.put_if_absent(name, bytes(2 << 20))
    except errors.BankFull as full:
        assert full.next_action
    else:
        raise SystemExit("no error")
files = sorted(name for _, _, names in os.walk(path) for name in names)
assert files == [".karbor-bank", "small"], files
assert [info.name for info in bank.list()] == ["small"]
subprocess.run(["mount", "-o", "remount,ro", path], check=True)
for call in (lambda: bank.put_if_absent("b", b""), lambda: bank.delete("small")):
    try:
        call()
    except errors.BankUnavailable as unavailable:
        assert not isinstance(unavailable, errors.BankFull)
    else:
        raise SystemExit("no error")
assert bank.get("small") == b"1"
print("done")
"""


def test_a_full_bank_and_a_read_only_bank_say_so_and_leave_nothing(tmp_path):
    """A file system of one MiB, in a mount namespace of its own."""
    command = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", ROOM, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if "mounted" not in done.stdout:
        pytest.skip(f"no mount namespaces here: {done.stderr[-200:]}")
    assert done.stdout.endswith("done\n"), done.stderr
