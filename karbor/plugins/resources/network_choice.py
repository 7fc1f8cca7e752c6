# SPDX-License-Identifier: Apache-2.0
"""What of the networks in a checkpoint is made, what is there already, and what stands against it?"""

import collections
from collections.abc import Iterator, Sequence
from typing import Any

from karbor.model import errors
from karbor.model.mapping import NAMES
from karbor.plugins.resources import group_plan
from karbor.plugins.resources.network_plan import interface_id
from karbor.plugins.resources.neutron import Item, Neutron, Topology
from karbor.sdk.protection import Work

#: Kind in a topology -> (collection, word of the mapping, for people, its name in quotas).
KINDS = {
    "networks": ("networks", "network", "network", "network"),
    "subnets": ("subnets", "subnet", "subnet", "subnet"),
    "routers": ("routers", "router", "router", "router"),
    "security_groups": ("security-groups", "security_group", "security group", "security_group"),
    "ports": ("ports", "port", "port", "port"),
    "floating": ("floatingips", "floating_ip", "floating address", "floatingip"),
}
#: Of this name every project has one security group that nobody can make.
DEFAULT = "default"


class Choice:
    """Made of one look at what is there. ``decided`` is JSON; ``conflicts``, ``warnings``, ``creates`` and ``keeps``
    are as in RestorePlan."""

    def __init__(self, work: Work, old: Topology) -> None:
        self._work, self._old, self._neutron = work, old, Neutron(work)
        self.conflicts: list[errors.KarborError] = []
        self.warnings: list[str] = []
        self.creates: list[dict[str, str]] = []
        self.keeps: list[dict[str, str]] = []
        self._needed: collections.Counter[str] = collections.Counter()  # by kind of quota
        self._made: set[str] = set()
        self._names: dict[str, str] = {}
        self._stand_ins: dict[str, str] = {}
        for kind in KINDS:
            self._choose(kind)
        self._find_others()
        interfaces = sorted(self._interfaces())
        mtu = self._is_mtu_possible()
        self._count(interfaces)
        self.decided: dict[str, Any] = {
            "made": sorted(self._made),
            "interfaces": interfaces,
            "names": self._names,
            "stand_ins": self._stand_ins,
            "mtu": mtu,
        }

    def _choose(self, kind: str) -> None:
        collection, word, shown, _quota = KINDS[kind]
        there = {one["id"]: one for one in self._neutron.own(collection)}
        for one in self._old[kind]:
            mapped = self._work.mapped(word, one["id"])
            entry = {"name": f"{shown} {one.get('name') or one.get('address') or one['id']}"}
            if mapped != one["id"]:
                self.keeps.append({**entry, "place": mapped})
            elif one["id"] in there and self._work.options.existing == "reuse":
                self.keeps.append(entry)
                if kind == "security_groups" and not _same_rules(one, there[one["id"]]):
                    self.warnings.append(
                        f"The security group {one['name']} has other rules now; they stay as they are."
                    )
            elif kind == "subnets" and self._is_mapped("network", one["network_id"]):
                self._stand_in_for_subnet(one["id"], one["cidr"], self._work.mapped("network", one["network_id"]))
            else:
                self._make(kind, one)

    def _make(self, kind: str, one: Item) -> None:
        self._made.add(one["id"])
        old = one.get("name", "")
        name = self._new_name(kind, old)
        if name != old:
            self._names[one["id"]] = name
        shown = f"{KINDS[kind][2]} {name or one.get('address') or one['id']}"
        self.creates.append({"name": shown})
        if kind == "security_groups":
            self.warnings += group_plan.not_the_same(one)
        if kind == "floating" and self._work.options.floating_addresses == "any":
            self.warnings.append(f"The floating address {one['address']} comes back as another one.")
        if kind == "routers" and one["gateway_addresses"]:
            told = ", ".join(one["gateway_addresses"])
            self.warnings.append(f"The {shown} may get another outer address than {told}.")
        if one.get("availability_zone_hints"):
            self.warnings.append(f"The {shown} is not bound to the availability zones of the old one.")

    def _new_name(self, kind: str, old: str) -> str:
        prefix = self._work.options.restore_name
        name = f"{prefix}-{old}" if prefix and old else self._work.mapped(NAMES, old)
        if kind != "security_groups" or name != DEFAULT:
            return name
        self.warnings.append(f"No second security group {DEFAULT} can be made: its rules come back in another one.")
        return f"{DEFAULT} (restored)"

    def _is_mapped(self, word: str, id_: str) -> bool:
        return self._work.mapped(word, id_) != id_

    def _stand_in_for_subnet(self, old: str, cidr: str, network_id: str) -> None:
        """In a network that stands in for another one, the subnet with the same addresses does for its subnet."""
        found = self._neutron.same_subnet(network_id, cidr)
        if found:
            self._stand_ins[old] = found
        else:
            self.warnings.append(f"No subnet of the network {network_id} has the addresses {cidr} of the old one.")

    def _interfaces(self) -> Iterator[str]:
        """Those to make: of new routers all, of others what they no longer have."""
        now = {one["id"]: one["interfaces"] for one in self._neutron.topology()["routers"]}
        for router in self._old["routers"]:
            if self._is_mapped("router", router["id"]):
                continue
            has = {one["subnet_id"] for one in now.get(router["id"], ())}
            for one in router["interfaces"]:
                subnet = self._stand_ins.get(one["subnet_id"], self._work.mapped("subnet", one["subnet_id"]))
                is_new = router["id"] in self._made or one["subnet_id"] in self._made or subnet not in has
                if is_new and self._is_subnet_there(one["subnet_id"], subnet):
                    yield interface_id(router, one)

    def _is_subnet_there(self, old: str, now: str) -> bool:
        if old in self._made or any(one["id"] == now for one in self._neutron.visible("subnets")):
            return True
        self.warnings.append(f"There is no subnet {now}: no router gets an interface to it.")
        return False

    def _find_others(self) -> None:
        """Networks of others are never made: they are here, by their id or name, or by the mapping."""
        needed = {one["gateway"] for one in self._old["routers"] if one["id"] in self._made}
        needed |= {
            one["network_id"] for kind in ("floating", "ports") for one in self._old[kind] if one["id"] in self._made
        }
        here = {one["id"]: one for one in self._neutron.visible("networks")}
        for other in self._old["foreign"]:
            mapped = self._work.mapped("network", other["id"])
            found = mapped if mapped in here else self._of_same_name(other) if mapped == other["id"] else ""
            if not found:
                if other["id"] in needed:
                    self.conflicts.append(
                        errors.InvalidInput(
                            f"There is no network {other['name']} ({mapped}) here, and others made it.",
                            next_action="name what to use in its place in the mapping of the restore",
                        )
                    )
                continue
            if found == other["id"]:
                continue
            if found != mapped:
                self._stand_ins[other["id"]] = found
                self.warnings.append(f"The network {other['name']} here ({found}) is used in the place of the old one.")
            for subnet in other["subnets"]:
                if not self._is_mapped("subnet", subnet["id"]):
                    self._stand_in_for_subnet(subnet["id"], subnet["cidr"], found)

    def _of_same_name(self, other: Item) -> str:
        same = [
            one["id"]
            for one in self._neutron.visible("networks")
            if one["name"] == other["name"]
            and bool(one.get("router:external")) == other["external"]
            and (one.get("shared") or one.get("router:external"))
        ]
        return str(same[0]) if len(same) == 1 else ""

    def _is_mtu_possible(self) -> bool:
        """Clouds refuse an MTU that is larger than what their own wires carry."""
        here = [one["mtu"] for one in self._neutron.visible("networks") if one.get("mtu")]
        wanted = [one["mtu"] for one in self._old["networks"] if one["id"] in self._made and "mtu" in one]
        if not here or not wanted or max(wanted) <= max(here):
            return True
        self.warnings.append(f"No network here has an MTU of {max(wanted)}: the new ones get what the cloud gives.")
        return False

    def _count(self, interfaces: Sequence[str]) -> None:
        for kind, (_collection, _word, _shown, quota) in KINDS.items():
            made = [one for one in self._old[kind] if one["id"] in self._made]
            self._needed[quota] += len(made)
            if kind == "security_groups":
                self._needed["security_group_rule"] += sum(len(one["rules"]) for one in made)
        self._needed["port"] += len(interfaces)
        needed = {kind: count for kind, count in self._needed.items() if count}
        room = self._neutron.room() if needed else {}
        for kind, count in sorted(needed.items()):
            if kind in room and count > room[kind]:
                self.conflicts.append(
                    errors.Conflict(
                        f"{count} of the kind {kind} would be made; the quota of the project has room for "
                        f"{max(room[kind], 0)}.",
                        next_action="have the quota raised, or remove what is not needed",
                    )
                )
        if needed:
            told = ", ".join(f"{count} {kind}" for kind, count in sorted(needed.items()))
            self.warnings.append(f"Of the quotas of the project this uses: {told}.")


def _same_rules(old: Item, now: Item) -> bool:
    return _rules(old["rules"]) == _rules(now["security_group_rules"])


def _rules(rules: Sequence[Item]) -> set[tuple[Any, ...]]:
    names = ("direction", "ethertype", "protocol", "port_range_min", "port_range_max", "remote_ip_prefix",
             "remote_group_id", "remote_address_group_id")  # fmt: skip
    return {tuple(rule.get(name) for name in names) for rule in rules}
