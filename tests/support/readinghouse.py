# SPDX-License-Identifier: Apache-2.0
"""Where does a test read a checkpoint with the real programs? An installation with one in a directory bank."""

from karbor.common.clock import Clock
from karbor.db.database import Database
from karbor.model.checkpoint import CheckpointRecord, SavedResource
from karbor.plugins.banks.filesystem import FilesystemBank
from karbor.vault.keys import MasterKey
from karbor.vault.vault import Vault
from tests.support import rows as make
from tests.support.guestlab import BytesReader

PROVIDER = "3f0d4a5e-6c1b-4d0e-9b55-2b1f3a7c9e10"
CHECKPOINT = "11111111-2222-4333-8444-555555555555"
SETTINGS = """[DEFAULT]
state_path = {root}
provider_config_dir = {root}/providers.d
[database]
connection = sqlite:///{root}/karbor.sqlite
[vault]
master_key_file = {root}/master.key
cache_dir = {root}/cache
"""
PROVIDER_FILE = """[provider]
name = kvm
id = {id}
plugin = karbor-libvirt-domain-protection-plugin
plugin = karbor-libvirt-disk-protection-plugin
bank = karbor-fs-bank-plugin
enabled = True
[file_system_bank_plugin]
file_system_bank_path = {root}/bank
"""


class ReadingHouse:
    """Settings, bank and database below ``root``, with one checkpoint of ``disks``: (resource key, bytes).

    ``others`` are saved resources without streams, ``graph`` tells how all belong together.
    """

    def __init__(self, root, disks, *, others=(), graph=None):
        self.root = root
        self.settings = root / "karbor.conf"
        (root / "providers.d").mkdir()
        (root / "providers.d" / "kvm.conf").write_text(PROVIDER_FILE.format(root=root, id=PROVIDER))
        self.settings.write_text(SETTINGS.format(root=root))
        self._protect(disks, others, graph or {})
        self.database = Database(f"sqlite:///{root}/karbor.sqlite", clock=Clock())
        self.database.upgrade()
        with self.database.write() as rows:
            rows.plans.create(make.plan())
            rows.checkpoints.create(make.checkpoint(id=CHECKPOINT, provider_id=PROVIDER))

    def close(self):
        self.database.dispose()

    def _protect(self, disks, others, graph):
        bank = FilesystemBank(FilesystemBank.Settings(file_system_bank_path=str(self.root / "bank")))
        bank.initialise()
        key = MasterKey.create(self.root / "master.key")
        vault = Vault(bank, master_key=key, cache_dir=self.root / "writer", clock=Clock())
        domain = vault.domain(make.PROJECT)
        saved = tuple(
            SavedResource(
                key, "plug-in", {}, {"disk": domain.write_stream(BytesReader(data), advance=lambda _: None).id}
            )
            for key, data in disks
        )
        record = CheckpointRecord(
            CHECKPOINT, make.PROJECT, PROVIDER, {}, graph, (*saved, *others), "2024-01-01T00:00:00"
        )
        domain.put_record("checkpoint", CHECKPOINT, record.to_dict())
        vault.close()
