# SPDX-License-Identifier: Apache-2.0
"""Does a phase that a plug-in leaves out cost nothing and harm nothing?"""

import pytest

from karbor.model.resource import Resource
from karbor.sdk.environment import Environment
from karbor.sdk.protection import PROTECT_PHASES, RESTORE_PHASES, Protected, Protection, Restored
from karbor.sdk.testing.work import TwinWork

OPTIONAL = ["prepare_begin", "prepare_finish", "complete", "committed", "abandon", "restore_prepare", "restore_abandon"]
ENVIRONMENT = Environment("here", "/state")


class Plain(Protection):
    """Only what must be written."""

    resource_types = ("Plain",)

    def protect(self, work):
        return Protected()

    def restore(self, work):
        return Restored(work.resource.id)


class Freezing(Plain):
    """One phase more."""

    def prepare_begin(self, work):
        return {"frozen": True}


class StillFreezing(Freezing):
    """A phase that comes from a parent class."""


@pytest.mark.parametrize("phase", [*OPTIONAL, "delete"])
def test_a_phase_left_out_is_absent_and_harmless(phase):
    plain = Plain(Plain.Settings(), ENVIRONMENT)
    assert not plain.has(phase)
    assert getattr(plain, phase)(TwinWork("protect", Resource("Plain", "i", "n"))) is None


@pytest.mark.parametrize("kind", [Freezing, StillFreezing])
def test_a_phase_that_is_written_is_there_also_in_subclasses(kind):
    assert kind.has("prepare_begin") and not kind.has("prepare_finish")


def test_every_phase_the_engine_knows_is_a_method():
    assert set(PROTECT_PHASES) | set(RESTORE_PHASES) <= set(dir(Protection))
    assert all(Plain.has(phase) for phase in ("protect", "restore"))


def test_by_default_nothing_can_be_set_and_nothing_is_saved():
    for declared in (Plain.Settings, Plain.Protect, Plain.Restore, Plain.Saved):
        assert declared.parse({}).to_dict() == {}


def test_a_protection_must_say_how_to_protect_and_restore():
    class Nothing(Protection):
        resource_types = ("Plain",)

    with pytest.raises(TypeError, match="protect"):
        Nothing(Nothing.Settings(), ENVIRONMENT)


def test_what_keeps_nothing_outside_the_bank_can_be_copied_and_all_else_only_where_it_knows_how():
    class Outside(Plain):
        def delete(self, work):
            """Something."""

    class Both(Outside):
        def copy(self, work):
            """Something."""

    assert (Plain.can_copy(), Outside.can_copy(), Both.can_copy()) == (True, False, True)


def test_a_plugin_that_cannot_tell_what_a_restore_would_do_is_not_asked():
    plain = Plain(Plain.Settings(), ENVIRONMENT)
    assert not plain.has("restore_plan")
    with pytest.raises(NotImplementedError):
        plain.restore_plan(TwinWork("restore", Resource("Plain", "i", "n")))
