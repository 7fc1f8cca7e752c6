# SPDX-License-Identifier: Apache-2.0
"""Does the comparison of backups run to its end, and is its disk always the same?"""

import random
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools" / "bench"
MIB = 1 << 20


@pytest.fixture
def source(tmp_path):
    """Files to fill a disk with."""
    place = tmp_path / "source"
    place.mkdir()
    numbers = random.Random(1)
    for number in range(40):
        words = " ".join(str(numbers.randrange(1000)) for _ in range(numbers.randrange(20_000, 60_000)))
        (place / f"{number}.txt").write_text(words)
    return place


def run(program, *arguments):
    command = [sys.executable, TOOLS / program, *arguments]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(600)
def test_a_disk_is_saved_in_all_states_and_restored(tmp_path, source):
    arguments = ("--size", 16, "--data", 6, "--rounds", 1, "--source", source, "--only", "karbor, no bitmap")
    text = run("vault.py", tmp_path / "bench", *arguments, "--results", tmp_path / "results")
    for operation in ("full", "unchanged", "5 % changed", "164 writes", "5,243 writes", "restore"):
        assert f"\n{operation}" in text
    assert "MiB per CPU second" in text
    assert len((tmp_path / "results").read_text().splitlines()) == 5 * 3 + 1
    assert not list((tmp_path / "bench").iterdir())


def test_a_disk_follows_from_its_arguments(tmp_path, source):
    made = []
    for name in ("a", "b"):
        disk = tmp_path / name
        run("disk.py", "create", disk, "--size", 16, "--data", 6, "--source", source)
        before = disk.read_bytes()
        ranges = run("disk.py", "change", disk, "--writes", 20, "--seed", 3)
        after = disk.read_bytes()
        changed = sum(before[at : at + 4096] != after[at : at + 4096] for at in range(0, len(before), 4096))
        assert changed == 20
        made.append((before, ranges, after))
    assert made[0] == made[1]
