# SPDX-License-Identifier: Apache-2.0
"""How are security groups and their rules built without Heat?"""

import contextlib
import ipaddress
from typing import Any

from karbor.heat.kinds import Item, Relation
from karbor.heat.networkkinds import NetworkKind
from karbor.model import errors


class SecurityGroup(NetworkKind):
    """Security groups with the rules in them. Where one has a rule about what leaves, Neutron's own such rules go."""

    path, key = "/security-groups", "security_group"

    def body(self, properties: Item) -> dict[str, Any]:
        found = super().body(properties)
        found.pop("rules", None)
        return found

    def finish(self, item: Item, mark: str, properties: Item) -> None:
        super().finish(item, mark, properties)
        wanted = [rule_body(str(item["id"]), rule) for rule in properties.get("rules") or ()]
        known = {_sameness(one): one["id"] for one in self.one(item["id"])["security_group_rules"]}
        if any(rule["direction"] == "egress" for rule in wanted):
            keep = {_sameness(rule) for rule in wanted}
            for same, id_ in known.items():
                if same not in keep and same[0] == "egress":
                    self.api.delete(f"/security-group-rules/{id_}")
                    self.reached("rule-removed")
        for rule in wanted:
            if _sameness(rule) not in known:
                self.api.post("/security-group-rules", json={"security_group_rule": rule})
                self.reached("rule-made")


class SecurityGroupRule(Relation):
    """A rule beside its group. The group is always one of this restore, and takes its rules with it when it goes."""

    def find(self, name: str, properties: Item) -> str:
        group = self.cloud.network.get(f"/security-groups/{properties['security_group']}").json()["security_group"]
        wanted = _sameness(_beside(properties))
        found = (one["id"] for one in group["security_group_rules"] if _sameness(one) == wanted)
        return str(next(found, ""))

    def join(self, name: str, properties: Item) -> str:
        body = {"security_group_rule": _beside(properties)}
        return str(self.cloud.network.post("/security-group-rules", json=body).json()["security_group_rule"]["id"])

    def remove(self, id_: str) -> bool:
        with contextlib.suppress(errors.NotFound):
            self.cloud.network.delete(f"/security-group-rules/{id_}")
        return True


def _beside(properties: Item) -> dict[str, Any]:
    renamed = {"security_group": "security_group_id", "remote_group": "remote_group_id"}
    given = {renamed.get(name, name): value for name, value in properties.items()}
    return rule_body(given.pop("security_group_id"), given)


def rule_body(group_id: str, rule: Item) -> dict[str, Any]:
    """A rule of a template as Neutron takes it; one about the group itself names no group there."""
    found = {"direction": "ingress", "ethertype": "IPv4", **rule, "security_group_id": group_id}
    if found.pop("remote_mode", "") == "remote_group_id":
        found.setdefault("remote_group_id", group_id)
    return found


_NUMBERS = {"1": "icmp", "6": "tcp", "17": "udp", "0": "", "any": "", "none": ""}


def _sameness(rule: Item) -> tuple[str, ...]:
    """What two rules of a group may not have in common."""
    protocol = str(rule.get("protocol") or "").lower()
    prefix = str(rule.get("remote_ip_prefix") or "")
    if prefix:
        prefix = str(ipaddress.ip_network(prefix, strict=False))
    ports = ("" if rule.get(name) is None else str(rule[name]) for name in ("port_range_min", "port_range_max"))
    return (
        str(rule["direction"]),
        str(rule.get("ethertype") or "IPv4"),
        _NUMBERS.get(protocol, protocol),
        prefix,
        str(rule.get("remote_group_id") or ""),
        *ports,
    )
