# SPDX-License-Identifier: Apache-2.0
"""Of which parts of a template do security groups that come back consist?

Heat takes the rules with their group. A rule that stands beside it is a resource of its own: one that would close a
circle of groups that refer to each other, which no template may have, and one with a description.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from karbor.plugins.resources.neutron import Item
from karbor.sdk.template import HeatResource, reference

GROUP, RULE = "OS::Neutron::SecurityGroup", "OS::Neutron::SecurityGroupRule"
#: Neutron lets a new group send anything. Heat takes that back only where the group has a rule for what it sends. This
#: one lets nothing through that would ever leave a server.
NOTHING_LEAVES = {"direction": "egress", "ethertype": "IPv4", "remote_ip_prefix": "127.0.0.1/32"}
_PLAIN = ("direction", "ethertype", "protocol", "port_range_min", "port_range_max", "remote_ip_prefix")

Reference = Callable[[str], Mapping[str, Any]]


def parts(groups: Sequence[Item], refer: Reference) -> list[HeatResource]:
    """The groups and the rules beside them. ``refer`` makes the reference to a group by its old id."""
    beside = _beside(groups)
    found, rest = [], []
    for group in groups:
        rules = []
        for rule in group["rules"]:
            if rule.get("remote_address_group_id"):
                continue
            if rule["id"] in beside:
                rest.append(_rule(group["id"], rule, refer))
            else:
                rules.append(_within(group["id"], rule, refer))
        if not any(rule["direction"] == "egress" for rule in rules):
            rules.append(NOTHING_LEAVES)
        properties = {"name": group["name"], "description": group.get("description", ""), "rules": rules}
        found.append(HeatResource(group["id"], GROUP, properties))
    return [*found, *rest]


def _beside(groups: Sequence[Item]) -> set[str]:
    """The rules that stand beside their group. Rules for every protocol are the last to go there, because Heat takes
    one without a protocol for one of TCP when it stands alone."""
    leads_to: dict[str, set[str]] = {group["id"]: set() for group in groups}
    found = set()
    pairs = [(group["id"], rule) for group in groups for rule in group["rules"]]
    for id_, rule in sorted(pairs, key=lambda pair: bool(pair[1].get("protocol"))):
        other = rule.get("remote_group_id")
        if _is_told_about(rule) or (other in leads_to and _reaches(other, id_, leads_to)):
            found.add(rule["id"])
        elif other in leads_to and other != id_:
            leads_to[id_].add(other)
    return found


def not_the_same(group: Item) -> list[str]:
    """What of a group Heat cannot make again, in sentences for people."""
    told = []
    if not group.get("stateful", True):
        told.append(f"The security group {group['name']} remembers connections when it comes back.")
    if any(rule.get("remote_address_group_id") for rule in group["rules"]):
        told.append(f"Rules of {group['name']} for groups of addresses are left out.")
    if not any(rule["direction"] == "egress" for rule in group["rules"]):
        told.append(f"The security group {group['name']} gets a rule for 127.0.0.1, so that Neutron's own go.")
    return told


def _is_told_about(rule: Item) -> bool:
    """Whether it has a description that can be kept: rules within a group have none."""
    return bool(rule.get("description") and rule.get("protocol") and rule["direction"] == "ingress")


def _reaches(start: str, end: str, leads_to: Mapping[str, set[str]]) -> bool:
    """Whether ``start`` needs ``end``. A group may refer to itself."""
    seen, left = set(), [start] if start != end else []
    while left:
        one = left.pop()
        if one == end:
            return True
        if one not in seen:
            seen.add(one)
            left += leads_to[one]
    return False


def _plain(rule: Item) -> dict[str, Any]:
    return {name: rule[name] for name in _PLAIN if rule.get(name) is not None}


def _within(group_id: str, rule: Item, refer: Reference) -> dict[str, Any]:
    found, other = _plain(rule), rule.get("remote_group_id")
    if other:
        found["remote_mode"] = "remote_group_id"
        if other != group_id:
            found["remote_group_id"] = refer(other)
    return found


def _rule(group_id: str, rule: Item, refer: Reference) -> HeatResource:
    # Protocol 0 is any protocol; without one Heat would take TCP.
    properties = {"protocol": "0", **_plain(rule), "security_group": reference(group_id)}
    if rule.get("description"):
        properties["description"] = rule["description"]
    if rule.get("remote_group_id"):
        properties["remote_group"] = refer(rule["remote_group_id"])
    return HeatResource(f"{group_id}:{rule['id']}", RULE, properties, shown=False)
