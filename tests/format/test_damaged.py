# SPDX-License-Identifier: Apache-2.0
"""Does the program that reads banks without Karbor get out of a damaged one all that is left, and name the rest?"""

import hashlib
import os
import random
import shutil
from pathlib import Path

import pytest

from karbor.model.checkpoint import CheckpointRecord, SavedResource
from karbor.plugins.banks.filesystem import FilesystemBank
from karbor.sdk.streams import Kind
from tests.format.make_sample import contents
from tests.format.tool import Tool
from tests.support.vaults import KEY, KIB, MIB, BytesSource, nothing, open_vault, parts

SAMPLE = Path(__file__).parent / "v1"
SAMPLE_STREAMS = (  # in the order in which make_sample wrote them
    "40e63b29760bb3f63abbe4c0fc059e7b",
    "2b73681dddbf4ed95d43b862d31b55a9",
    "80641b0e2c405ffd9ebba9bb787be78d",
)
SEEDS = int(os.environ.get("KARBOR_DAMAGED_BANKS", "3"))
GENERATIONS = 100
SIZE, STEP, REGION = 8 * MIB, 80 * KIB, 16 * KIB
EMPTY = 1 * MIB  # at the end, in a leaf that is shared by nobody


def content(number):
    """The disk after so many generations: each writes a region of its own."""
    data = bytearray(SIZE + EMPTY)
    for region in range(number + 1):
        data[region * STEP : region * STEP + REGION] = hashlib.shake_128(b"%d" % region).digest(REGION)
    return bytes(data)


class House:
    """A bank with a checkpoint of each of many generations of a disk; each generation made a pack."""

    def __init__(self, path):
        bank = FilesystemBank(FilesystemBank.Settings(file_system_bank_path=str(path / "bank")))
        bank.initialise()
        self.vault = open_vault(bank, path / "cache")
        self.domain = self.vault.domain("project")
        self.streams = []
        for number in range(GENERATIONS):
            data, base_id = content(number), self.streams[-1] if self.streams else None
            extents = parts(len(data), [(number * STEP, REGION)], rest=Kind.SAME if base_id else Kind.ZERO)
            self.streams.append(
                self.domain.write_stream(BytesSource(data, extents), base_id=base_id, advance=nothing).id
            )
            point_id = f"point-{number:02}"
            saved = (SavedResource("OS::Nova::Server#1", "plug-in", {"xml": "<domain/>"}, {"vda": self.streams[-1]}),)
            record = CheckpointRecord(point_id, "project", "provider", {"name": "nightly"}, {}, saved, "2024-01-01")
            self.domain.put_record("checkpoint", point_id, record.to_dict())
        self.root = next((path / "bank").glob("*/d/*"))
        self.tool = Tool(path / "bank", KEY.secret, path)


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.vault.close()


def test_with_one_pack_of_a_hundred_gone_everything_else_is_restored(house):
    packs = sorted(house.root.glob("pack/*/*"), key=lambda path: path.stat().st_mtime_ns)
    assert len(packs) == GENERATIONS
    chosen = packs[GENERATIONS // 2]
    chosen.unlink()
    done = house.tool.run("check")
    assert done.code == 1
    assert f"missing: pack {chosen.name}" in done.text
    told, whole = {}, set()
    for line in done.text.splitlines():
        if line.startswith("point-"):
            point = int(line.split()[0].removeprefix("point-"))
            told[point] = []
        elif line.startswith("LOST"):
            offset, _, length = line.split(": ")[1].partition("+")
            told[point].append((int(offset), int(length)))
        elif line.startswith("whole"):
            whole.add(point)
    assert sorted(told) == list(range(GENERATIONS))
    assert whole == {point for point, lost in told.items() if not lost}
    # Karbor itself finds the very same ranges, and what was written before and after is where it was.
    with house.domain.check("quick") as run:
        for point, stream_id in enumerate(house.streams):
            damage = run.stream(stream_id, nothing).damage
            assert merged(told[point]) == merged((part.offset, part.length) for part in damage)
    assert 0 < len(whole) < GENERATIONS
    damaged = max(point for point, lost in told.items() if lost)
    restored = house.tool.restore(f"point-{damaged:02}")
    assert restored.code == 1
    assert restored.lost == told[damaged]
    wanted, found = bytearray(content(damaged)), restored.content("vda")
    for offset, length in told[damaged]:
        wanted[offset : offset + length] = bytes(length)
    assert found == wanted
    assert lost_in_map(restored) == merged(told[damaged])
    restored = house.tool.restore(f"point-{min(whole):02}")
    assert (restored.code, restored.document["resources"][0]["saved"]) == (0, {"xml": "<domain/>"})
    assert "point-99  project project  2024-01-01  nightly" in house.tool.run("list").text


def test_other_damage_costs_no_more_than_it_must(house):
    index = sorted(house.root.glob("index/*"))
    index[0].write_bytes(index[0].read_bytes()[:-1])  # the pack tells the same
    index[1].unlink()
    assert house.tool.run("check", "point-99").code == 0
    (house.root / "record" / "checkpoint" / "point-50").write_bytes(b"no record")
    (house.root / "stream" / house.streams[60]).unlink()
    done = house.tool.run("check")
    assert done.code == 1
    lost = [line for line in done.text.splitlines() if line.startswith("LOST")]
    assert len(lost) == 2
    assert "LOST checkpoint point-50 of project project" in lost[0]
    assert "LOST OS::Nova::Server#1 vda: all of it" in lost[1]
    # A stream whose checkpoint is lost can be restored by its own id.
    assert house.streams[50] in house.tool.run("list").text
    assert house.tool.restore(house.streams[50]).content(house.streams[50]) == content(50)
    # A copy of a domain is read as it is; a project whose key is gone is gone, and no other.
    shutil.copytree(house.root, house.root.parent / "0123456789abcdef0123456789abcdef")
    done = house.tool.run("list")
    assert (done.code, "LOST domain 0123456789abcdef0123456789abcdef" in done.text) == (1, True)
    assert house.tool.restore("point-99").content("vda") == content(99)


def test_what_cannot_be_done_is_said(house, tmp_path):
    assert house.tool.run("check", "no-such-point").code == 2
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    done = Tool(house.tool.bank, bytes(32), stranger).run("list")
    assert (done.code, "wrapped by another master key" in done.text) == (1, True)
    assert Tool(tmp_path / "nowhere", KEY.secret, stranger).run("list").code == 2
    assert house.tool.run("restore", "point-00", str(stranger / "out")).code == 0
    again = house.tool.run("restore", "point-00", str(stranger / "out"))
    assert (again.code, "File exists" in again.text) == (2, True)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whatever_is_damaged_no_wrong_byte_is_restored_and_none_is_lost_silently(tmp_path, seed):
    """Any files of the sample are cut, changed, emptied or removed: bytes are right, or lie in a range that is told."""
    numbers = random.Random(seed)
    shutil.copytree(SAMPLE, tmp_path / "sample")
    expected = dict(zip(SAMPLE_STREAMS, contents(), strict=True))
    files = sorted(path for path in (tmp_path / "sample" / "bank").glob("*/d/**/*") if path.is_file())
    for path in numbers.sample(files, numbers.randint(1, 4)):
        data = bytearray(path.read_bytes())
        kind = numbers.choice(["cut", "change", "empty", "remove"])
        if kind == "remove":
            path.unlink()
            continue
        if kind == "change":
            for _ in range(numbers.choice([1, 1, 20])):
                data[numbers.randrange(len(data))] ^= numbers.randrange(1, 256)
        path.write_bytes(data if kind == "change" else data[: numbers.randrange(len(data)) if kind == "cut" else 0])
    tool = Tool(tmp_path / "sample" / "bank", tmp_path / "sample" / "master.key", tmp_path)
    for stream_id, (wanted, _) in expected.items():
        done = tool.restore(stream_id)
        assert "Traceback" not in done.text
        if list(done.directory.glob(f"*{stream_id}")):
            found, wanted = done.content(stream_id), bytearray(wanted)
            for offset, length in done.lost:
                wanted[offset : offset + length] = bytes(length)
            assert found == wanted
            assert done.code == (1 if done.lost else 0)
        else:
            assert done.code in (1, 2) and ("all of it" in done.text or "there is no" in done.text)


def merged(ranges):
    """Ranges that touch are one."""
    found = []
    for offset, length in sorted(ranges):
        if found and sum(found[-1]) == offset:
            found[-1] = (found[-1][0], found[-1][1] + length)
        else:
            found.append((offset, length))
    return found


def lost_in_map(read):
    """The ranges that the map file beside the restored file calls bad; together its ranges are the whole file."""
    [path] = read.directory.glob("*.map")
    rows = [line.split() for line in path.read_text().splitlines()[2:]]
    ranges = [(int(offset, 16), int(length, 16), kind) for offset, length, kind in rows]
    assert merged(row[:2] for row in ranges) == [(0, SIZE + EMPTY)]
    return merged(row[:2] for row in ranges if row[2] == "-")
