# SPDX-License-Identifier: Apache-2.0
"""Does the noop plug-in accept every resource type and do nothing?"""

import pytest

from karbor.common import loading
from karbor.model import errors
from karbor.model.resource import Resource
from karbor.plugins.resources.noop import NoopProtection
from karbor.sdk.environment import Environment
from karbor.sdk.protection import PROTECT_PHASES, Protected
from karbor.sdk.testing.work import TwinWork

NOOP = NoopProtection(NoopProtection.Settings(), Environment("here", "/state"))


def test_it_accepts_every_type_that_has_a_protectable_here():
    found = loading.plugin_classes("karbor.protectables").values()
    assert {plugin.resource_type for plugin in found} <= set(NoopProtection.resource_types)


@pytest.mark.parametrize("type_", NoopProtection.resource_types)
def test_it_saves_nothing_and_names_the_original_as_restored(type_):
    resource = Resource(type_, "id", "name")
    work = TwinWork("protect", resource)
    assert NOOP.protect(work) == Protected()
    assert (work.stored, work.done, work.expected) == ({}, 0, 0)
    assert NOOP.restore(TwinWork("restore", resource)).new_id == "id"


def test_it_makes_no_step_beyond_the_two_it_must():
    assert [phase for phase in PROTECT_PHASES if NOOP.has(phase)] == ["protect"]
    assert not NOOP.has("delete") and not NOOP.has("abandon")


def test_forms_can_be_tried_and_unknown_fields_are_refused():
    assert NoopProtection.Restore.parse({"restore_name": "x"}).restore_name == "x"
    with pytest.raises(errors.InvalidInput):
        NoopProtection.Restore.parse({"nonsense": "x"})
