# SPDX-License-Identifier: Apache-2.0
"""Do all drivers hold guests still as the contract says? (libvirt's own test driver has a guest with an agent.)"""

import libvirt
import pytest

from karbor.sdk.testing.freeze_suite import FreezeSuite
from karbor.sdk.testing.memory_hypervisor import MemoryDomain, MemoryHypervisor
from karbor.virt.libvirt_connection import Connection
from tests.support import guestlab

_URI = "test:///default"
_DOMAIN = "6695eb01-f6a4-8304-79aa-97f2502e193f"


class TestMemoryHypervisor(FreezeSuite):
    @pytest.fixture(autouse=True)
    def _one_host(self):
        self.first = None

    def make_driver(self):
        found = MemoryHypervisor()
        if self.first is None:
            self.first = found
        else:
            found.guests, found.frozen, found.held = self.first.guests, self.first.frozen, set()
        return found

    def running(self, driver):
        return driver.add(MemoryDomain("web", {"vda": "/images/a"}), {"vda": b""}).id

    def is_frozen(self, domain_id):
        return domain_id in self.first.frozen

    def shut_down(self, domain_id):
        self.first.guests[domain_id].state = "shut off"

    def start(self, domain_id):
        self.first.guests[domain_id].state = "running"


class TestLibvirtHypervisor(FreezeSuite):
    @pytest.fixture(autouse=True)
    def _thawed(self):
        self.domain = Connection(_URI).domain(_DOMAIN)
        self.domain.fsThaw()
        yield
        if not self.domain.isActive():
            self.domain.create()
        self.domain.fsThaw()

    def make_driver(self):
        return guestlab.driver(_URI, self.directory)

    def running(self, driver):
        return _DOMAIN

    def is_frozen(self, domain_id):
        try:
            frozen = self.domain.fsFreeze()
        except libvirt.libvirtError:
            return True
        if frozen:
            self.domain.fsThaw()
        return not frozen

    def shut_down(self, domain_id):
        self.domain.shutdown()

    def start(self, domain_id):
        self.domain.create()
