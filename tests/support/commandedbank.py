# SPDX-License-Identifier: Apache-2.0
"""What bank does a test give to a whole service, to let it hang, crawl or fail while the service runs?

A directory bank that looks for files beside its directory at every call: ``hang`` holds each put of a pack for as long
as the file is there, and makes ``waiting`` meanwhile; ``slow`` holds the number of seconds that each call takes longer;
``gone`` makes every call fail.
"""

import threading
from pathlib import Path

from karbor.model import errors
from karbor.plugins.banks.filesystem import FilesystemBank
from karbor.protection.providers import settings_section
from karbor.sdk.testing.faults import PUTS, FaultyBank
from tests.support.plugins import Packages

NAME = "karbor-commanded-bank"
ROOT = Path(__file__).resolve().parents[2]


class CommandedBank(FaultyBank):
    """See the module text."""

    class Settings(FilesystemBank.Settings):
        """Those of a directory bank."""

    def __init__(self, settings):
        super().__init__(FilesystemBank(settings), told=self._obey)
        self._place = Path(settings.to_dict()["file_system_bank_path"]).parent
        self._pause = threading.Event()

    def _obey(self, method, name, _size):
        if (self._place / "gone").exists():
            raise errors.BankUnavailable(detail="it was told to be gone")
        if (slow := self._place / "slow").exists():
            self._pause.wait(float(slow.read_text()))
        while method in PUTS and "/pack/" in name and (self._place / "hang").exists():
            (self._place / "waiting").touch()
            self._pause.wait(0.02)


def install(directory):
    """Install it as a package in a directory; returns the environment that makes it importable."""
    packages = Packages(directory)
    packages.namespace = "karbor.protections"
    packages.install("from tests.support.commandedbank import CommandedBank\n", **{NAME: "CommandedBank"})
    return {"PYTHONPATH": f"{directory}:{ROOT}"}


def give_to(provider_file):
    """Put it into a provider file in the place of the directory bank."""
    text = provider_file.read_text().replace("bank = karbor-fs-bank-plugin", f"bank = {NAME}")
    provider_file.write_text(text.replace("[file_system_bank_plugin]", f"[{settings_section(NAME)}]"))
