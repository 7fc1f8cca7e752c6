# SPDX-License-Identifier: Apache-2.0
"""Do steps come in the order that the graph and the phases ask for?"""

import pytest

from karbor.model.graph import Node, ResourceGraph
from karbor.model.resource import Resource, ResourceKey
from karbor.protection import flows

DOMAIN, DISK_A, DISK_B = ResourceKey("D", "d"), ResourceKey("K", "a", "d"), ResourceKey("K", "b", "d")


def _graph(edges):
    """A graph from {key: children}."""
    return ResourceGraph(Node(key, Resource(key.type, key.id, key.id), tuple(below)) for key, below in edges.items())


GUEST = _graph({DISK_A: (), DISK_B: (), DOMAIN: (DISK_A, DISK_B)})
PHASES = {"D": {"prepare_begin", "protect", "complete", "committed", "restore_prepare"}, "K": {"protect"}}


def _has(key, phase):
    return phase in PHASES[key.type]


def _needs(steps):
    """All steps that must have ended before each, directly or not."""
    found = {}
    for step in steps:
        found[step.name] = set(step.needs) | {deep for name in step.needs for deep in found[name]}
    return found


def test_steps_are_listed_after_all_they_need():
    for steps in (flows.protect_steps(GUEST, _has), flows.restore_steps(GUEST, _has), flows.delete_steps(GUEST, _has)):
        seen = set()
        for step in steps:
            assert set(step.needs) <= seen
            seen.add(step.name)


def test_disks_are_read_after_the_domain_is_held_and_before_it_is_let_go():
    needs = _needs(flows.protect_steps(GUEST, _has))
    for disk in (DISK_A, DISK_B):
        assert "D#d:prepare_begin" in needs[f"{disk.text}:protect"]
        assert f"{disk.text}:protect" in needs["D#d:complete"]
        assert "D#d:complete" not in needs[f"{disk.text}:protect"]


def test_disks_do_not_wait_for_each_other():
    needs = _needs(flows.protect_steps(GUEST, _has))
    assert "K#b@d:protect" not in needs["K#a@d:protect"] and "K#a@d:protect" not in needs["K#b@d:protect"]


def test_commit_comes_after_read_back_and_committed_after_commit():
    needs = _needs(flows.protect_steps(GUEST, _has))
    assert {"D#d:complete", flows.READ_BACK} <= needs[flows.COMMIT]
    assert needs["D#d:committed"] >= {flows.COMMIT}


def test_a_step_needs_the_results_of_its_own_earlier_phases_and_of_its_parents_preparation():
    steps = {step.name: step for step in flows.protect_steps(GUEST, _has)}
    assert "D#d:prepare_begin" in steps["D#d:complete"].needs
    assert "D#d:prepare_begin" in steps["K#a@d:protect"].needs
    assert "D#d:prepare_begin" in steps["D#d:committed"].needs


def test_restore_prepares_from_the_top_and_builds_from_the_bottom():
    needs = _needs(flows.restore_steps(GUEST, _has))
    assert "D#d:restore_prepare" in needs["K#a@d:restore"]
    assert {"K#a@d:restore", "K#b@d:restore"} <= needs["D#d:restore"]


def test_order_passes_through_resources_without_a_phase():
    top, middle, bottom = ResourceKey("D", "t"), ResourceKey("K", "m"), ResourceKey("D", "b")
    chain = _graph({bottom: (), middle: (bottom,), top: (middle,)})
    needs = _needs(flows.protect_steps(chain, _has))
    assert "D#t:prepare_begin" in needs["D#b:prepare_begin"]
    assert "D#b:complete" in needs["D#t:complete"]


def test_a_phase_that_no_plugin_has_makes_no_step():
    steps = flows.protect_steps(GUEST, lambda key, phase: phase == "protect")
    assert [step.name for step in steps if step.key is None] == [flows.READ_BACK, flows.COMMIT]
    assert len(steps) == 5


@pytest.mark.parametrize("layers", [40])
def test_a_deep_diamond_is_built_in_linear_time(layers):
    edges = {}
    below = ()
    for layer in range(layers):
        pair = (ResourceKey("D", f"{layer}a"), ResourceKey("D", f"{layer}b"))
        edges.update(dict.fromkeys(pair, below))
        below = pair
    assert len(flows.protect_steps(_graph(edges), _has)) == layers * 2 * 4 + 2


def test_a_verification_looks_at_everything_in_no_order_and_then_ends():
    has = {"D": set(), "K": {"verify"}}
    steps = flows.verify_steps(GUEST, lambda key, phase: phase in has[key.type])
    assert [step.name for step in steps] == ["K#a@d:verify", "K#b@d:verify", flows.FINISH]
    assert steps[0].needs == steps[1].needs == () and set(steps[2].needs) == {"K#a@d:verify", "K#b@d:verify"}


def test_a_copy_copies_in_no_order_then_reads_back_and_commits():
    has = {"D": set(), "K": {"copy"}}
    steps = flows.copy_steps(GUEST, lambda key, phase: phase in has[key.type])
    assert [step.name for step in steps] == ["K#a@d:copy", "K#b@d:copy", flows.READ_BACK, flows.COMMIT]
    needs = _needs(steps)
    assert needs["K#a@d:copy"] == needs["K#b@d:copy"] == set()
    assert needs[flows.COMMIT] == {"K#a@d:copy", "K#b@d:copy", flows.READ_BACK}


def test_a_batch_begins_when_everything_of_the_one_before_is_complete():
    other, disk = ResourceKey("D", "e"), ResourceKey("K", "c", "e")
    graph = _graph({DISK_A: (), DISK_B: (), DOMAIN: (DISK_A, DISK_B), disk: (), other: (disk,)})
    steps = flows.protect_steps(graph, _has, [[DISK_A, DISK_B, DOMAIN], [disk, other]])
    needs = _needs(steps)
    assert {"D#d:complete", "K#a@d:protect"} <= needs["D#e:prepare_begin"] <= needs[f"{disk.text}:protect"]
    assert not any(name.startswith("D#e") for name in needs["D#d:complete"])
    assert sorted(step.name for step in steps) == sorted(step.name for step in flows.protect_steps(graph, _has))


def test_what_is_in_no_batch_has_no_turn():
    alone = ResourceKey("K", "alone")
    graph = _graph({DISK_A: (), DOMAIN: (DISK_A,), alone: ()})
    needs = _needs(flows.protect_steps(graph, _has, [[DISK_A, DOMAIN]]))
    assert needs["K#alone:protect"] == set()
