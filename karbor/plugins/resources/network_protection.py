# SPDX-License-Identifier: Apache-2.0
"""How are the networks of a project kept, and handed to Heat to be made again?

One resource stands for all of them: they refer to each other in both directions. No packet is kept, only what a tenant
can see and set.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from karbor.model.checkpoint import SavedResource
from karbor.plugins.resources.cinder import saved_of
from karbor.plugins.resources.cloudtypes import NETWORK
from karbor.plugins.resources.network_choice import KINDS, Choice
from karbor.plugins.resources.network_plan import Plan
from karbor.plugins.resources.neutron import Item, Neutron
from karbor.sdk.mapping import OldNames
from karbor.sdk.options import Options, option, required
from karbor.sdk.protection import Protected, Protection, Restored, RestorePlan, Work


class NetworkProtection(Protection):
    """Networks, subnets, routers, security groups, floating addresses, and ports that belong to no server."""

    resource_types = (NETWORK,)
    acts_in_cloud = True
    through_heat = True

    class Restore(Options):
        """Parameters of a restore."""

        restore_name: str = option("", "Stands before the names of what is made, with a hyphen. Empty: the old names.")
        existing: Literal["reuse", "new"] = option(
            "reuse",
            "reuse: what is still there is used as it is now, only what is gone is made; new: all is made anew.",
        )
        floating_addresses: Literal["any", "same"] = option(
            "any",
            "any: a floating address that is gone comes back as another one; same: the same one, which clouds allow "
            "only to administrators.",
        )

    class Saved(Options):
        """What the checkpoint keeps."""

        topology: str = required("The networks and what belongs to them (JSON).")
        networks: int = option(0, "How many networks there are.")
        routers: int = option(0, "How many routers.")
        security_groups: int = option(0, "How many security groups.")
        floating_addresses: int = option(0, "How many floating addresses.")

    def protect(self, work: Work) -> Protected:
        """Read everything: six lists, whatever is in them."""
        found = Neutron(work).topology()
        saved = {
            "topology": json.dumps(found, sort_keys=True),
            "networks": len(found["networks"]),
            "routers": len(found["routers"]),
            "security_groups": len(found["security_groups"]),
            "floating_addresses": len(found["floating"]),
        }
        return Protected(saved)

    def restore_prepare(self, work: Work) -> Mapping[str, Any]:
        """Decide what is made. Raises InvalidInput, Conflict where that cannot be."""
        choice = Choice(work, json.loads(saved_of(work)["topology"]))
        if choice.conflicts:
            raise choice.conflicts[0]
        return choice.decided

    def restore(self, work: Work) -> Restored:
        """Leave it to Heat. Where nothing has to be made, the networks that are there are the result."""
        parts = Plan(work, json.loads(saved_of(work)["topology"]), work.results["restore_prepare"]).parts()
        return Restored("" if parts else work.cloud.project_id, {}, parts)

    def restore_plan(self, work: Work) -> RestorePlan:
        """What is made, what stays as it is, and what would not be as it was."""
        old = json.loads(saved_of(work)["topology"])
        choice = Choice(work, old)
        return RestorePlan(
            choice.creates,
            keeps=choice.keeps,
            conflicts=choice.conflicts,
            warnings=choice.warnings,
            decided=choice.decided,
            template=() if choice.conflicts else Plan(work, old, choice.decided).parts(),
        )

    def old_names(self, saved: SavedResource) -> OldNames:
        """The names of everything in the topology, addresses in the place of those of floating addresses."""
        old = json.loads(saved.saved["topology"])
        found = {word: _names(old[kind]) for kind, (_collection, word, _shown, _quota) in KINDS.items()}
        found["network"].update(_names(old["foreign"]))
        return found


def _names(things: Iterable[Item]) -> dict[str, str]:
    return {one["id"]: one.get("name") or one.get("address") or "" for one in things}
