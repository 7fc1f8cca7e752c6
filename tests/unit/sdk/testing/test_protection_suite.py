# SPDX-License-Identifier: Apache-2.0
"""Does the conformance suite notice a plug-in that breaks a promise?"""

import inspect

import pytest

from karbor.model import errors
from karbor.sdk.environment import Environment
from karbor.sdk.options import Options, option, required
from karbor.sdk.protection import Protected, Restored
from karbor.sdk.template import HeatResource
from karbor.sdk.testing.protection_suite import ProtectionSuite, Trial
from tests.support.memory import MemoryProtectable, MemoryProtection

ENVIRONMENT = Environment("here", "/state")
CONDITIONS = [name for name, _ in inspect.getmembers(ProtectionSuite, inspect.isfunction) if name.startswith("test_")]


def _trial(protection=MemoryProtection, protectable=MemoryProtectable):
    finder = protectable(protectable.Settings(), ENVIRONMENT)
    resource = finder.add("p", "one", b"content of one")
    finder.add("p", "two", b"content of two")
    plugin = protection(protection.Settings(), ENVIRONMENT, finder.contents)

    def build(parts):
        made = {f"built-{part.original_id}": part.properties["content"].encode() for part in parts}
        finder.contents.update(made)
        return {part.original_id: f"built-{part.original_id}" for part in parts}

    return Trial(finder, plugin, resource, "p", finder.contents.get, build=build)


class Unserialisable(MemoryProtection):
    def protect(self, work):
        return Protected({"name": object()}, super().protect(work).streams)


class Undeclared(MemoryProtection):
    class Saved(Options):
        size: int = required("How large it was.")


class Forgetful(MemoryProtection):
    def restore(self, work):
        self.contents["other"] = b"something else"
        return Restored("other")


class Delegating(MemoryProtection):
    """Leaves building to Heat."""

    through_heat = True

    def restore(self, work):
        reader = work.streams.read("content")
        content = reader.read(0, reader.size).decode()
        return Restored("", {}, (HeatResource(work.resource.id, "Memory", {"content": content}),))


class Misleading(Delegating):
    def restore(self, work):
        return Restored("", {}, (HeatResource(work.resource.id, "Memory", {"content": "something else"}),))


class Unwritable(Delegating):
    def restore(self, work):
        return Restored("", {}, (HeatResource(work.resource.id, "Memory", {"content": b"bytes"}),))


class Silent(MemoryProtection):
    def restore(self, work):
        super().restore(work)
        return Restored("")


class Careless(MemoryProtection):
    def protect(self, work):
        self.contents[work.resource.id] += b"!"
        return super().protect(work)


class NotTwice(MemoryProtection):
    def restore(self, work):
        new_id = f"restored-{len(self.contents)}"
        self.contents[new_id] = work.streams.read("content").read(0, 14)
        return Restored(new_id)


class Leaving(MemoryProtection):
    def restore_abandon(self, work):
        """Leaves what was restored."""


class Deaf(MemoryProtection):
    def protect(self, work):
        try:
            return super().protect(work)
        except errors.Cancelled:
            return Protected()


class Stuck(MemoryProtection):
    def prepare_begin(self, work):
        return {"key": work.key.text, "frozen": (1, 2)}


class Leftover(MemoryProtection):
    def prepare_begin(self, work):
        self.contents[work.resource.id] = b"frozen"


class NullDefault(MemoryProtection):
    class Protect(Options):
        some: str = option("", "A text.")

        @classmethod
        def schema(cls):
            return {"type": "object", "properties": {"some": {"type": "string", "default": None}}}


class Shallow(MemoryProtection):
    class Verify(Options):
        """Without the levels that everybody expects."""


class Touching(MemoryProtection):
    def verify(self, work):
        self.contents[work.resource.id] = b"looked at"


class Unordered(MemoryProtectable):
    def list(self, project_id, *, after="", limit=1000, parameters=None):
        return list(reversed(super().list(project_id, after=after, limit=limit)))


class Endless(MemoryProtectable):
    def list(self, project_id, *, after="", limit=1000, parameters=None):
        return super().list(project_id)


class Inventive(MemoryProtectable):
    def get(self, project_id, resource_id, *, parameters=None):
        return next(iter(self.list(project_id)))


BROKEN = [
    ("test_what_is_saved_is_json_and_fits_its_declaration", {"protection": Unserialisable}),
    ("test_what_is_saved_is_json_and_fits_its_declaration", {"protection": Undeclared}),
    ("test_a_restore_brings_the_same_content", {"protection": Forgetful}),
    ("test_a_restore_brings_the_same_content", {"protection": NotTwice}),
    ("test_a_restore_brings_the_same_content", {"protection": Misleading}),
    ("test_a_restore_brings_the_same_content", {"protection": Unwritable}),
    ("test_a_restore_brings_the_same_content", {"protection": Silent}),
    ("test_protecting_leaves_the_resource_as_it_was", {"protection": Careless}),
    ("test_protecting_leaves_the_resource_as_it_was", {"protection": Stuck}),
    ("test_an_abandoned_restore_leaves_nothing", {"protection": Leaving}),
    ("test_abandon_after_any_phase_may_be_called_twice_and_a_new_attempt_works", {"protection": Leftover}),
    ("test_a_cancelled_protect_ends_with_cancelled", {"protection": Deaf}),
    ("test_schemas_are_valid_json_schema_without_null_defaults", {"protection": NullDefault}),
    ("test_every_level_of_a_verification_is_offered", {"protection": Shallow}),
    ("test_a_verification_finds_nothing_wrong_and_changes_nothing", {"protection": Touching}),
    ("test_listing_finds_the_resource_and_pages_in_order_of_id", {"protectable": Unordered}),
    ("test_listing_finds_the_resource_and_pages_in_order_of_id", {"protectable": Endless}),
    ("test_a_missing_resource_is_not_found", {"protectable": Inventive}),
]


@pytest.mark.parametrize("protection", [MemoryProtection, Delegating])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_plugin_that_keeps_all_promises_passes(condition, protection):
    getattr(ProtectionSuite(), condition)(_trial(protection))


@pytest.mark.parametrize(
    ("condition", "kinds"), BROKEN, ids=[next(iter(kinds.values())).__name__ for _condition, kinds in BROKEN]
)
def test_a_broken_promise_is_noticed(condition, kinds):
    with pytest.raises((AssertionError, KeyError, TypeError, errors.InvalidInput, pytest.fail.Exception)):
        getattr(ProtectionSuite(), condition)(_trial(**kinds))
