# SPDX-License-Identifier: Apache-2.0
"""Does the noop plug-in keep the contract of a protection?"""

from karbor.plugins.resources.noop import NoopProtection
from karbor.sdk.environment import Environment
from karbor.sdk.testing.protection_suite import ProtectionSuite, Trial
from tests.support.memory import MemoryProtectable


class AnyServer(MemoryProtectable):
    """Things of a type that noop accepts."""

    resource_type = "OS::Nova::Server"


class TestNoopProtection(ProtectionSuite):
    """Two servers that exist in memory alone; what noop restores is the original itself."""

    def make(self, tmp_path):
        environment = Environment(host="here", state_dir=str(tmp_path))
        servers = AnyServer(AnyServer.Settings(), environment)
        resource = servers.add("p", "one", b"one")
        servers.add("p", "two", b"two")
        protection = NoopProtection(NoopProtection.Settings(), environment)
        return Trial(servers, protection, resource, "p", servers.contents.get)
