# SPDX-License-Identifier: Apache-2.0
"""How do tests read a bank with nothing but the program that is written from the description of the format?"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

TOOL = Path(__file__).parents[2] / "tools" / "karbor-read.py"


class Read(NamedTuple):
    """What came of one run."""

    code: int
    text: str
    directory: Path | None = None

    @property
    def lost(self) -> list[tuple[int, int]]:
        """The ranges that it reported."""
        return [
            (int(offset), int(length)) for offset, length in re.findall(r"^LOST .*: (\d+)\+(\d+): ", self.text, re.M)
        ]

    @property
    def document(self) -> dict:
        """The record that was restored."""
        return json.loads((self.directory / "checkpoint.json").read_text())

    def content(self, name: str) -> bytes:
        """The one restored file whose name ends so."""
        [path] = self.directory.glob(f"*{name}")
        return path.read_bytes()


class Tool:
    """The program with a bank and the key for it. ``python -I``: it finds no package of this directory."""

    def __init__(self, bank: Path, key: Path | bytes, scratch: Path) -> None:
        self.bank = bank
        self.scratch = scratch
        if isinstance(key, bytes):
            (scratch / "plain.key").write_text(key.hex() + "\n")
        self.key = scratch / "plain.key" if isinstance(key, bytes) else key
        self.count = 0

    def run(self, *arguments: str) -> Read:
        command = [sys.executable, "-I", str(TOOL), "--bank", str(self.bank), "--key", str(self.key), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=250)
        return Read(done.returncode, done.stdout + done.stderr)

    def restore(self, point_id: str, *arguments: str) -> Read:
        """Restore a checkpoint or a stream into a new directory."""
        self.count += 1
        directory = self.scratch / f"restored-{self.count}"
        done = self.run(*arguments, "restore", point_id, str(directory))
        return done._replace(directory=directory)

    def without_index(self) -> "Tool":
        """The same bank without its index objects."""
        copy = shutil.copytree(self.bank, self.scratch / "bank-without-index")
        for directory in [*copy.glob("d/*/index"), *copy.glob("*/d/*/index")]:
            shutil.rmtree(directory)
        return Tool(copy, self.key, self.scratch)
