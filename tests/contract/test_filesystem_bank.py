# SPDX-License-Identifier: Apache-2.0
"""Does the directory bank keep the conditions of a bank, also between processes?"""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from karbor.model import errors
from karbor.plugins.banks.filesystem import FilesystemBank
from karbor.sdk.testing.bank_suite import BankSuite
from karbor.sdk.testing.lock_suite import LockSuite
from tests.support.clock import TwinClock

WRITER = """
import sys
from karbor.plugins.banks.filesystem import FilesystemBank
bank = FilesystemBank(FilesystemBank.Settings(file_system_bank_path=sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
print(sum(bank.put_if_absent(f"race/{number}", sys.argv[2].encode()) for number in range(200)))
"""


class TestFilesystemBankThatLocks(LockSuite):
    def make_bank(self) -> FilesystemBank:
        return FilesystemBank(FilesystemBank.Settings(file_system_bank_path=str(self.directory)))

    def again(self, bank) -> FilesystemBank:
        return self.make_bank()

    def test_what_is_kept_is_read_only_and_a_fast_clock_does_not_count(self, keeping):
        clock = TwinClock()
        clock.pass_time(1e9)
        keeping.put_own("a/b", b"1")
        keeping.retain("a/b", datetime.now(UTC) + timedelta(days=1))
        fast = FilesystemBank(keeping.settings, clock=clock)
        with pytest.raises(errors.ObjectLocked):
            fast.delete("a/b")
        assert (self.directory / "karbor" / "a" / "b").stat().st_mode & 0o222 == 0

    def test_where_nobody_can_tell_until_when_an_object_is_kept_it_stays(self, keeping):
        keeping.put_own("a", b"1")
        keeping.retain("a", datetime.now(UTC) + timedelta(days=1))
        (self.directory / "karbor" / ".kept" / "a").write_text("rot")
        with pytest.raises(errors.BankUnavailable, match="until when"):
            keeping.delete("a")


class TestFilesystemBank(BankSuite):
    def make_bank(self) -> FilesystemBank:
        return FilesystemBank(FilesystemBank.Settings(file_system_bank_path=str(self.directory)))

    def again(self, bank) -> FilesystemBank:
        return self.make_bank()

    def test_1_of_two_processes_exactly_one_makes_each_object(self, bank):
        command = [sys.executable, "-c", WRITER, str(self.directory)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        writers = [subprocess.Popen([*command, who], **pipes) for who in ("one", "two")]
        for writer in writers:
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            writer.stdin.write("go\n")
            writer.stdin.flush()
        made = [int(writer.communicate(timeout=60)[0]) for writer in writers]
        assert sum(made) == 200
        contents = [bank.get(info.name) for info in bank.list("race/")]
        assert [contents.count(b"one"), contents.count(b"two")] == made
