# SPDX-License-Identifier: Apache-2.0
"""Does the directory bank keep the conditions of a bank, also between processes?"""

import subprocess
import sys

from karbor.plugins.banks.filesystem import FilesystemBank
from karbor.sdk.testing.bank_suite import BankSuite

WRITER = """
import sys
from karbor.plugins.banks.filesystem import FilesystemBank
bank = FilesystemBank(FilesystemBank.Settings(file_system_bank_path=sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
print(sum(bank.put_if_absent(f"race/{number}", sys.argv[2].encode()) for number in range(200)))
"""


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
