# SPDX-License-Identifier: Apache-2.0
"""What does a test of leases and clean-up start from? A domain in a memory bank, and a clock that it may move."""

from karbor.vault.cleanup import Settings
from karbor.vault.leases import Terms
from karbor.vault.vault import Vault
from tests.support.clock import TwinClock
from tests.support.vaults import KEY, BytesSource, memory_bank, nothing

TERMS = Terms(term=600, margin=60, skew=30)
AT_ONCE = Settings(grace=0, tombstones=86400, small_index=1000)
KIND = "checkpoint"


class CleanRoom:
    """One bank, seen by several sites."""

    def __init__(self, directory, bank=None):
        self.directory = directory
        self.clock = TwinClock()
        self.bank = bank or memory_bank()
        self.vaults = {}

    def site(self, name="here"):
        """The project's domain as one site sees it."""
        if name not in self.vaults:
            place = self.directory / name
            vault = Vault(self.bank, master_key=KEY, cache_dir=place, clock=self.clock, threads=1, terms=TERMS)
            self.vaults[name] = vault
        return self.vaults[name].domain("project")

    def lease(self, job="job", fence=1, site="here"):
        return self.site(site).lease(job, fence=fence, record=(KIND, job))

    def write(self, data, lease=None, base=None, site="here"):
        info = self.site(site).write_stream(BytesSource(data), base_id=base, advance=nothing, lease=lease)
        self.site(site).read_back([info], nothing)
        return info

    def protect(self, job, *contents, site="here"):
        """A whole job: the ids of its streams."""
        lease = self.lease(job, site=site)
        ids = [self.write(data, lease, site=site).id for data in contents]
        self.site(site).put_record(KIND, job, {"version": 1, "streams": ids}, lease=lease)
        lease.end(committed=True)
        return ids

    def clean(self, settings=AT_ONCE, site="here", *, dry_run=False):
        return self.site(site).clean_up(settings, pause=lambda _seconds: None, dry_run=dry_run)

    def names(self, part):
        """Objects of the domain below ``part``."""
        found = [name for name in self.names_of_domain() if name.startswith(part)]
        return sorted(found)

    def names_of_domain(self):
        prefix = self.site()._for_writing().store.prefix
        return [name.removeprefix(prefix) for name in self.bank.objects if name.startswith(prefix)]

    def close(self):
        for vault in self.vaults.values():
            vault.close()
