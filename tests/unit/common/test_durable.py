# SPDX-License-Identifier: Apache-2.0
"""Is a file either there as a whole or not at all, whoever else writes and whoever dies?"""

import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from karbor.common import durable

#: A process that may write 64 KiB to a file and dies of a signal at the byte after.
DIES_WHILE_WRITING = """
import resource, signal, sys
from pathlib import Path
from karbor.common import durable
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
signal.signal(signal.SIGXFSZ, signal.SIG_DFL if sys.argv[3] == "die" else signal.SIG_IGN)
getattr(durable, sys.argv[1])(Path(sys.argv[2]), bytes(1 << 20))
"""
both = pytest.mark.parametrize("write", [durable.write_file, durable.create_file])


def _in_process(function, path, end):
    arguments = [sys.executable, "-c", DIES_WHILE_WRITING, function, str(path), end]
    return subprocess.run(arguments, capture_output=True, timeout=60, check=False)


def _names(directory):
    return sorted(path.name for path in directory.iterdir())


@both
def test_what_was_written_is_there_and_nothing_else(write, tmp_path):
    write(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"
    assert _names(tmp_path) == ["file"]


@both
def test_nobody_else_can_read_unless_asked(write, tmp_path):
    write(tmp_path / "secret", b"")
    write(tmp_path / "open", b"", mode=0o640)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "open").stat().st_mode) == 0o640


@both
def test_a_missing_directory_is_not_made(write, tmp_path):
    with pytest.raises(FileNotFoundError):
        write(tmp_path / "missing" / "file", b"content")
    assert _names(tmp_path) == []


def test_writing_replaces(tmp_path):
    durable.write_file(tmp_path / "file", b"a longer first")
    durable.write_file(tmp_path / "file", b"second")
    assert (tmp_path / "file").read_bytes() == b"second"
    assert _names(tmp_path) == ["file"]


def test_creating_keeps_what_is_there(tmp_path):
    assert durable.create_file(tmp_path / "file", b"first") is True
    assert durable.create_file(tmp_path / "file", b"second") is False
    assert (tmp_path / "file").read_bytes() == b"first"
    assert _names(tmp_path) == ["file"]


def test_a_directory_in_the_way_is_an_error_and_leaves_nothing(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        durable.write_file(tmp_path / "taken", b"content")
    assert _names(tmp_path) == ["taken"]


def test_of_many_creators_exactly_one_wins_and_its_content_stays(tmp_path):
    for number in range(20):
        path = tmp_path / str(number)
        together = threading.Barrier(8)

        def create(content, path=path, together=together):
            together.wait()
            return durable.create_file(path, content)

        contents = [bytes([writer]) * 5000 for writer in range(8)]
        with ThreadPoolExecutor(8) as threads:
            made = list(threads.map(create, contents))
        assert made.count(True) == 1
        assert path.read_bytes() == contents[made.index(True)]
    assert _names(tmp_path) == sorted(str(number) for number in range(20))


def test_readers_never_see_a_part_while_writers_replace(tmp_path):
    path = tmp_path / "file"
    durable.write_file(path, b"0" * 100_000)
    done = threading.Event()
    seen = []

    def read():
        while not done.is_set():
            seen.append(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: durable.write_file(path, b"%d" % (number % 10) * 100_000), range(40)))
    done.set()
    reader.join(30)
    assert seen and all(len(found) == 100_000 and len(set(found)) == 1 for found in seen)
    assert _names(tmp_path) == ["file"]


@pytest.mark.parametrize("function", ["write_file", "create_file"])
def test_a_process_that_dies_while_writing_leaves_no_part_under_the_name(function, tmp_path):
    path = tmp_path / "file"
    assert _in_process(function, path, "die").returncode < 0
    assert _names(tmp_path) == []


def test_a_process_that_dies_while_replacing_leaves_the_old_content(tmp_path):
    path = tmp_path / "file"
    durable.write_file(path, b"old")
    assert _in_process("write_file", path, "die").returncode < 0
    assert path.read_bytes() == b"old"


def test_what_a_dead_process_left_is_in_nobodys_way(tmp_path):
    path = tmp_path / "file"
    (tmp_path / ".tmp-0123456789abcdef").write_bytes(b"half")  # on a file system where a file must have a name
    assert durable.create_file(path, b"new") is True
    durable.write_file(path, b"newer")
    assert path.read_bytes() == b"newer"


@pytest.mark.parametrize("function", ["write_file", "create_file"])
def test_a_write_that_fails_says_so_and_leaves_nothing(function, tmp_path):
    done = _in_process(function, tmp_path / "file", "fail")
    assert done.returncode == 1 and b"OSError" in done.stderr
    assert _names(tmp_path) == []


def test_a_directory_that_is_missing_cannot_be_synced():
    with pytest.raises(FileNotFoundError):
        durable.sync_directory(Path("/nonexistent/directory"))


def test_a_file_system_without_nameless_files_gives_the_same(tmp_path):
    path = tmp_path / "file"
    assert durable.create_file(path, b"first", nameless=False) is True
    assert durable.create_file(path, b"second", nameless=False) is False
    assert path.read_bytes() == b"first"
    durable.write_file(path, b"third", mode=0o640, nameless=False)
    assert path.read_bytes() == b"third" and stat.S_IMODE(path.stat().st_mode) == 0o640
    assert _names(tmp_path) == ["file"]
