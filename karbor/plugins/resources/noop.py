# SPDX-License-Identifier: Apache-2.0
"""How is nothing protected, for trials and load tests?

Enabled by name like any other plug-in, and the shortest example of one: it accepts every resource type and saves
nothing.
"""

from karbor.sdk.options import Options, option
from karbor.sdk.protection import Protected, Protection, Restored, RestorePlan, Work


class NoopProtection(Protection):
    """Accept every resource, save nothing, restore nothing."""

    resource_types = (
        "OS::Keystone::Project",
        "OS::Nova::Server",
        "OS::Cinder::Volume",
        "OS::Glance::Image",
        "OS::Manila::Share",
        "OS::Neutron::Network",
        "OS::Trove::Instance",
        "OS::Kubernetes::Pod",
        "Libvirt::Domain",
        "Libvirt::Disk",
    )

    class Restore(Options):
        """Accepted so that forms can be tried; nothing is made of it."""

        restore_name: str | None = option(None, "Name of the restored resource.")

    def protect(self, work: Work) -> Protected:
        """Save nothing."""
        return Protected()

    def restore_plan(self, work: Work) -> RestorePlan:
        """Nothing is created; the original stays as it is."""
        return RestorePlan(keeps=({"name": work.resource.name},))

    def restore(self, work: Work) -> Restored:
        """Name the original as the result."""
        return Restored(new_id=work.resource.id)
