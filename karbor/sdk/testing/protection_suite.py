# SPDX-License-Identifier: Apache-2.0
"""Does a resource type keep what karbor.sdk.protection and karbor.sdk.protectable promise?

    class TestMine(ProtectionSuite):
        def make(self, tmp_path): return Trial(protectable, protection, resource, project_id, fingerprint, ...)

Every test name is a condition. A plug-in that passes may be called twice, interrupted, abandoned and tried again.
"""

import glob
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from karbor.clients.room import rooms
from karbor.model import errors
from karbor.model.checkpoint import SavedResource
from karbor.model.resource import Resource, ResourceKey
from karbor.model.selection import METADATA, TAGS, Choice, Pattern, Traits
from karbor.sdk.protectable import Protectable
from karbor.sdk.protection import Protected, Protection, Restored
from karbor.sdk.template import HeatParameter, HeatResource
from karbor.sdk.testing.work import TwinWork

if TYPE_CHECKING:
    from karbor.clients.openstack import Cloud


def _strange(offered: Collection[str]) -> list[Pattern]:
    """Choices by what no resource of a test has, of the kinds that are offered."""
    found = {TAGS: Pattern(tags=("strange",)), METADATA: Pattern(metadata={"strange": "value"})}
    return [pattern for kind, pattern in found.items() if kind in offered]


def _used(trial: "Trial", service: str, kind: str) -> int | None:
    """How much of a quota is in use; None where the cloud does not tell."""
    room = rooms(trial.cloud, service).get(kind) if trial.cloud is not None else None
    return room.used if room else None


Parts = Sequence[HeatResource | HeatParameter]


@dataclass
class Trial:
    """What a suite tries. ``fingerprint(id)`` tells the content of a live resource, None where it is not there;
    ``restore`` are parameters that restore beside the original.

    For plug-ins that act in a cloud: ``cloud``, and the ``children`` that the resource has in it. For one that answers
    with parts of a template: ``build`` makes them and tells the new id by the original one. ``settle`` waits until all
    that was begun in the cloud has come to its end."""

    protectable: Protectable
    protection: Protection
    resource: Resource
    project_id: str
    fingerprint: Callable[[str], Any]
    protect: Mapping[str, Any] = field(default_factory=dict)
    restore: Mapping[str, Any] = field(default_factory=dict)
    cloud: "Cloud | None" = None
    children: Sequence[tuple[ResourceKey, Resource]] = ()
    build: Callable[[Parts], Mapping[str, str]] | None = None
    settle: Callable[[], object] = lambda: None

    def work(self, operation: str, **named: Any) -> TwinWork:
        """A work on the resource."""
        given = {"project_id": self.project_id, "cloud": self.cloud, "children": self.children, **named}
        return TwinWork(operation, self.resource, **given)


class ProtectionSuite:
    """Subclass and write ``make``."""

    def make(self, tmp_path: Path) -> Trial:
        """A fresh trial with one live resource."""
        raise NotImplementedError

    @pytest.fixture
    def trial(self, tmp_path: Path) -> Trial:
        return self.make(tmp_path)

    def _run(self, trial: Trial, work: TwinWork, phase: str) -> Any:
        """Run a phase twice and keep its JSON, as the engine does around a crash."""
        for _ in range(2):
            if trial.protection.has(phase):
                found = getattr(trial.protection, phase)(work)
                assert json.loads(json.dumps(found)) == found
                work.results[phase] = found
        return work.results.get(phase)

    def _protect(self, trial: Trial) -> tuple[TwinWork, Protected]:
        options = trial.protection.Protect.parse(trial.protect)
        work = trial.work("protect", options=options)
        self._run(trial, work, "prepare_begin")
        self._run(trial, work, "prepare_finish")
        done = trial.protection.protect(work)
        again = trial.protection.protect(work)
        assert (done.saved, done.logical_bytes) == (again.saved, again.logical_bytes)
        self._run(trial, work, "complete")
        if trial.protection.has("committed"):
            trial.protection.committed(work)
            trial.protection.committed(work)
        return work, again

    def _restore_work(self, trial: Trial, work: TwinWork, done: Protected, operation: str = "restore") -> TwinWork:
        streams = {name: info.id for name, info in done.streams.items()}
        saved = SavedResource(work.key.text, "trial", json.loads(json.dumps(dict(done.saved))), streams)
        options = trial.protection.Restore.parse(trial.restore)
        return trial.work(operation, options=options, saved=saved, stored=work.stored)

    def _new_id(self, trial: Trial, restored: Restored) -> str:
        """The id of what was restored, also where that is left to Heat."""
        assert restored.new_id or trial.protection.through_heat
        if restored.new_id or trial.build is None:
            return restored.new_id
        return trial.build(restored.template)[trial.resource.id]

    def test_schemas_are_valid_json_schema_without_null_defaults(self, trial: Trial) -> None:
        declared_sets = (
            trial.protection.Protect,
            trial.protection.Restore,
            trial.protection.Verify,
            trial.protection.Copy,
            trial.protection.Saved,
        )
        for declared in declared_sets:
            schema = declared.schema()
            Draft202012Validator.check_schema(schema)
            assert all(entry.get("default", "") is not None for entry in schema["properties"].values())

    def test_listing_finds_the_resource_and_pages_in_order_of_id(self, trial: Trial) -> None:
        ids = [found.id for found in trial.protectable.list(trial.project_id)]
        assert trial.resource.id in ids and ids == sorted(ids)
        assert all(found.id > ids[0] for found in trial.protectable.list(trial.project_id, after=ids[0]))
        assert len(trial.protectable.list(trial.project_id, limit=1)) == 1

    def test_a_resource_is_found_by_its_id(self, trial: Trial) -> None:
        assert trial.protectable.get(trial.project_id, trial.resource.id).id == trial.resource.id

    def test_a_missing_resource_is_not_found(self, trial: Trial) -> None:
        with pytest.raises(errors.ResourceNotFound):
            trial.protectable.get(trial.project_id, "00000000-0000-4000-8000-000000000000")

    def _traits(self, trial: Trial) -> Traits:
        """What a choice can go by of the resource."""
        everything = Choice(trial.protectable.resource_type, Pattern(name="*"))
        found = trial.protectable.traits(trial.project_id, everything)
        return next(one for one in found if one.resource.id == trial.resource.id)

    def test_a_choice_finds_the_resource_by_everything_it_has_and_by_nothing_else(self, trial: Trial) -> None:
        if not trial.protectable.standalone:
            return
        had, type_ = self._traits(trial), trial.protectable.resource_type
        fitting = [Pattern(name="*"), Pattern(name=glob.escape(had.name))] if had.name else [Pattern(name="*")]
        fitting += [Pattern(tags=(tag,)) for tag in sorted(had.tags)]
        fitting += [Pattern(metadata={key: value}) for key, value in sorted(had.metadata.items())]
        other = [Pattern(name=f"{glob.escape(had.name)}?"), *_strange(trial.protectable.chosen_by)]
        for pattern in (*fitting, *other):
            chosen = trial.protectable.select(trial.project_id, Choice(type_, pattern), limit=1000)
            assert [one.id for one in chosen].count(trial.resource.id) == (pattern in fitting)
            assert pattern in fitting or not chosen or pattern.name

    def test_a_choice_leaves_out_what_it_shall(self, trial: Trial) -> None:
        if not trial.protectable.standalone:
            return
        without = Choice(trial.protectable.resource_type, Pattern(name="*"), left_out_ids=(trial.resource.id,))
        chosen = trial.protectable.select(trial.project_id, without, limit=1000)
        assert trial.resource.id not in [one.id for one in chosen]

    def test_a_choice_that_cannot_be_made_or_finds_too_much_is_refused(self, trial: Trial) -> None:
        type_, offered = trial.protectable.resource_type, trial.protectable.chosen_by
        refused = [pattern for pattern in _strange({TAGS, METADATA}) if not pattern.goes_by <= offered]
        for pattern in refused:
            with pytest.raises(errors.InvalidInput):
                trial.protectable.select(trial.project_id, Choice(type_, pattern), limit=1000)
        with pytest.raises(errors.InvalidInput):
            trial.protectable.select(trial.project_id, Choice(type_, Pattern(name="*")), limit=0)

    def test_protecting_leaves_the_resource_as_it_was(self, trial: Trial) -> None:
        before = trial.fingerprint(trial.resource.id)
        self._protect(trial)
        assert trial.fingerprint(trial.resource.id) == before

    def test_what_stays_in_the_cloud_is_what_was_told_beforehand(self, trial: Trial) -> None:
        resource = trial.protectable.get(trial.project_id, trial.resource.id)
        options = trial.protection.Protect.parse(trial.protect)
        told = trial.protection.cost(resource, options)
        assert told == trial.protection.cost(resource, options)
        assert all(use.amount >= 0 for use in told)
        kept: dict[tuple[str, str], int] = {(use.service, use.kind): 0 for use in told}
        for use in told:
            kept[use.service, use.kind] += 0 if use.passing else use.amount
        before = {key: _used(trial, *key) for key in kept}
        self._protect(trial)
        for key, earlier in before.items():
            assert earlier is None or _used(trial, *key) == earlier + kept[key]

    def test_what_is_saved_is_json_and_fits_its_declaration(self, trial: Trial) -> None:
        _work, done = self._protect(trial)
        assert json.loads(json.dumps(dict(done.saved))) == dict(done.saved)
        trial.protection.Saved.parse(done.saved)

    def test_a_restore_brings_the_same_content(self, trial: Trial) -> None:
        work, done = self._protect(trial)
        before = trial.fingerprint(trial.resource.id)
        restoring = self._restore_work(trial, work, done)
        self._run(trial, restoring, "restore_prepare")
        first, second = trial.protection.restore(restoring), trial.protection.restore(restoring)
        assert first == second
        parts = [part.to_dict() for part in first.template]
        assert json.loads(json.dumps(parts)) == parts
        assert trial.fingerprint(self._new_id(trial, first)) == before

    def test_a_plan_of_a_restore_changes_nothing_and_tells_what_the_restore_refuses(self, trial: Trial) -> None:
        if not trial.protection.has("restore_plan"):
            return
        work, done = self._protect(trial)
        restoring = self._restore_work(trial, work, done)
        before = [found.id for found in trial.protectable.list(trial.project_id)]
        for _ in range(2):  # as things stand, and once more when the restore is there already
            plan = trial.protection.restore_plan(restoring)
            assert all(set(entry) <= {"name", "place"} for entry in (*plan.creates, *plan.replaces, *plan.keeps))
            assert [found.id for found in trial.protectable.list(trial.project_id)] == before
            assert plan.decided is None or json.loads(json.dumps(plan.decided)) == plan.decided
            try:
                self._run(trial, restoring, "restore_prepare")
            except errors.KarborError as refusal:
                assert refusal.message == plan.conflicts[0].message
                break
            assert not plan.conflicts
            trial.protection.restore(restoring)
            before = [found.id for found in trial.protectable.list(trial.project_id)]

    def test_every_level_of_a_verification_is_offered(self, trial: Trial) -> None:
        assert trial.protection.Verify.schema()["properties"]["level"]["enum"] == ["quick", "data"]
        assert trial.protection.Verify.parse({}).level == "data"

    def test_a_verification_finds_nothing_wrong_and_changes_nothing(self, trial: Trial) -> None:
        work, done = self._protect(trial)
        before, stored = trial.fingerprint(trial.resource.id), dict(work.stored)
        for level in ("quick", "data"):
            verifying = self._restore_work(trial, work, done, operation="verify")
            verifying.options = trial.protection.Verify.parse({"level": level})
            self._run(trial, verifying, "verify")
        assert trial.fingerprint(trial.resource.id) == before and work.stored == stored

    def test_an_abandoned_restore_leaves_nothing(self, trial: Trial) -> None:
        work, done = self._protect(trial)
        restoring = self._restore_work(trial, work, done)
        self._run(trial, restoring, "restore_prepare")
        new_id = trial.protection.restore(restoring).new_id
        trial.protection.restore_abandon(restoring)
        trial.protection.restore_abandon(restoring)
        assert not new_id or new_id == trial.resource.id or trial.fingerprint(new_id) is None

    def test_abandon_after_any_phase_may_be_called_twice_and_a_new_attempt_works(self, trial: Trial) -> None:
        options = trial.protection.Protect.parse(trial.protect)
        before = trial.fingerprint(trial.resource.id)
        for phases in ((), ("prepare_begin",), ("prepare_begin", "prepare_finish")):
            work = trial.work("protect", options=options)
            for phase in phases:
                self._run(trial, work, phase)
            trial.protection.abandon(work)
            trial.protection.abandon(work)
            assert trial.fingerprint(trial.resource.id) == before
        self._protect(trial)

    def test_what_a_job_made_can_be_found_and_removed_without_it(self, trial: Trial) -> None:
        if trial.cloud is None:
            return
        resource = trial.protectable.get(trial.project_id, trial.resource.id)
        options = trial.protection.Protect.parse(trial.protect)
        used = {(use.service, use.kind) for use in trial.protection.cost(resource, options)}
        before = {key: _used(trial, *key) for key in used}
        assert not list(trial.protection.made_by_jobs(trial.cloud))
        work = trial.work("protect", options=options)
        self._run(trial, work, "prepare_begin")
        self._run(trial, work, "prepare_finish")  # and now nobody goes on
        for made in trial.protection.made_by_jobs(trial.cloud):
            assert made.job_id == work.operation_id
            trial.protection.remove_made(trial.cloud, made)
            trial.protection.remove_made(trial.cloud, made)
        trial.settle()
        assert not list(trial.protection.made_by_jobs(trial.cloud))
        assert {key: _used(trial, *key) for key in used} == before

    def test_a_cancelled_protect_ends_with_cancelled(self, trial: Trial) -> None:
        moves_bytes = self._moves_bytes(trial)
        options = trial.protection.Protect.parse(trial.protect)
        work = trial.work("protect", options=options)
        self._run(trial, work, "prepare_begin")
        self._run(trial, work, "prepare_finish")
        work.stop = errors.Cancelled()
        if moves_bytes:
            with pytest.raises(errors.Cancelled):
                trial.protection.protect(work)
        work.stop = None  # what puts everything back is not cancelled
        trial.protection.abandon(work)

    def _moves_bytes(self, trial: Trial) -> bool:
        """Whether protecting this resource moves bytes at all; one that does not has nothing to cancel."""
        work, done = self._protect(trial)
        return work.done > 0 and bool(done.streams)
