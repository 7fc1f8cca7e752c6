# SPDX-License-Identifier: Apache-2.0
"""Do security groups become parts of a template that Heat can build?"""

from karbor.heat.references import in_order
from karbor.heat.template import assemble
from karbor.plugins.resources.group_plan import NOTHING_LEAVES, not_the_same, parts
from karbor.sdk.template import reference

OUT = {"id": "out", "direction": "egress", "ethertype": "IPv4"}


def group(id_, *rules):
    return {"id": id_, "name": id_, "rules": list(rules)}


def rule(id_, **more):
    return {"id": id_, "direction": "ingress", "ethertype": "IPv4", **more}


def made(*groups):
    return {part.original_id: part for part in parts(groups, lambda id_: reference(id_, or_else=id_))}


def test_a_rule_about_what_leaves_keeps_neutrons_own_away():
    assert made(group("a", OUT))["a"].properties["rules"] == [{"direction": "egress", "ethertype": "IPv4"}]
    assert made(group("a"))["a"].properties["rules"] == [NOTHING_LEAVES]
    assert not_the_same(group("a", OUT)) == []
    assert len(not_the_same(group("a"))) == 1


def test_a_group_that_refers_to_itself_needs_no_id():
    (found,) = made(group("a", OUT, rule("1", remote_group_id="a")))["a"].properties["rules"][1:]
    assert found == {"direction": "ingress", "ethertype": "IPv4", "remote_mode": "remote_group_id"}


def test_a_circle_of_groups_is_cut_at_a_rule_with_a_protocol():
    circle = (
        group("a", OUT, rule("1", remote_group_id="b")),
        group("b", OUT, rule("2", remote_group_id="c", protocol="tcp", port_range_min=5, port_range_max=6)),
        group("c", OUT, rule("3", remote_group_id="a")),
    )
    found = made(*circle)
    assert set(found) == {"a", "b", "c", "b:2"}
    assert found["b:2"].properties["protocol"] == "tcp"
    resources = assemble(found.values(), description="").resources
    assert len(in_order(resources)) == 4  # refuses circles


def test_two_groups_that_let_each_other_do_everything_are_cut_by_any_protocol():
    found = made(group("a", OUT, rule("1", remote_group_id="b")), group("b", OUT, rule("2", remote_group_id="a")))
    (beside,) = (part for id_, part in found.items() if ":" in id_)
    assert beside.properties["protocol"] == "0"


def test_a_group_that_is_not_made_is_referred_to():
    found = made(group("a", OUT, rule("1", remote_group_id="elsewhere")))["a"].properties["rules"][1]
    assert found["remote_group_id"] == reference("elsewhere", or_else="elsewhere")


def test_what_heat_does_not_know_is_left_out_and_told():
    odd = group("a", OUT, rule("1", remote_address_group_id="x"))
    assert len(made(odd)["a"].properties["rules"]) == 1
    assert len(not_the_same({**odd, "stateful": False})) == 2
