# SPDX-License-Identifier: Apache-2.0
"""How does a checkpoint get into the bank of another provider, so that it restores with the first bank gone?

By the graph and the saved data in its record: today's inventory has no say. Streams are copied by the vault; a plug-in
has work to do only where it keeps something outside the bank.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from karbor.common.clock import iso
from karbor.model import errors
from karbor.model.checkpoint import RECORD, Checkpoint, CheckpointRecord, SavedResource, Sizes
from karbor.model.graph import ResourceGraph
from karbor.model.resource import ResourceKey
from karbor.protection import flows
from karbor.protection.flows import Step, step_name
from karbor.protection.protect import ProtectOperation, require_record
from karbor.protection.work import StepWork
from karbor.sdk.protection import Protected, Protection
from karbor.vault.domain import Domain

#: What ``extra_info`` of a checkpoint says when it is a copy that is complete.
FINISHED = {"copy_status": "finished"}


class CopyOperation(ProtectOperation):
    """Makes one checkpoint out of another one. Reading back, committing and failing are those of a protect."""

    _source: CheckpointRecord
    _source_domain: Domain
    _source_saved: Mapping[str, SavedResource] = {}

    def plan(self) -> Sequence[Step]:
        payload = self.job.payload
        self.parameters = payload.get("parameters") or {}
        self._source_domain = self._source_provider(payload["source_provider_id"], payload["source_checkpoint_id"])
        self.provider.bank.identity()  # a bank that is gone shows here
        self._source = require_record(self._source_domain, payload["source_checkpoint_id"])
        self._source_saved = {saved.key: saved for saved in self._source.resources}
        self.graph = ResourceGraph.from_dict(self._source.graph)
        for node in self.graph:
            self._require_same_plugin(node.key)
        with self.parts.database.write() as rows:
            rows.jobs.check(self.job)
            if rows.checkpoints.get(self.checkpoint_id).status == "wait_copying":
                rows.checkpoints.transition(self.checkpoint_id, "copying", graph=self.graph.to_dict())
        self.begin_writing()
        return self.remember_first_steps(flows.copy_steps(self.graph, self.has))

    def has(self, key: ResourceKey, phase: str) -> bool:
        """A resource of which nothing but the record is kept needs no step."""
        return super().has(key, phase) or (phase == "copy" and bool(self._saved_of(key).streams))

    def options(self, plugin: Protection, values: Mapping[str, Any]) -> Any:
        return plugin.Copy.parse(values)

    def saved(self, key: ResourceKey) -> SavedResource | None:
        return self._source_saved.get(key.text)

    @property
    def saved_in(self) -> Domain:
        return self._source_domain

    def earlier(self, key: ResourceKey) -> Sequence[Any]:
        return ()

    def resource_step(self, step: Step, plugin: Protection, work: StepWork) -> Any:
        saved = self._saved_of(work.key)
        work.expect(sum(self._source_domain.open_stream(stream_id).size for stream_id in saved.streams.values()))
        streams = {
            name: self._source_domain.copy_stream(
                stream_id, self.domain, work.advance, earlier=self._earlier_copies(work.key, name), lease=self.lease
            ).to_dict()
            for name, stream_id in saved.streams.items()
        }
        more = plugin.copy(work) if plugin.has("copy") else None
        return self._result(saved, streams, more)

    def abandon(self, plugin: Protection, work: StepWork) -> None:
        plugin.copy_abandon(work)

    def _source_provider(self, provider_id: str, checkpoint_id: str) -> Domain:
        """The project's part of the vault that is copied from. Raises Unavailable where this worker has no such
        provider: another worker may have both."""
        try:
            vault = self.parts.providers.get(provider_id).vault
            return vault.holder(self.job.project_id, RECORD, checkpoint_id)
        except errors.NotFound as fault:
            raise errors.Unavailable(
                f"The worker of the provider {self.provider.info.name} does not have the provider {provider_id}, where"
                " the checkpoint lies.",
                next_action="give one worker the files of both providers",
            ) from fault

    def _require_same_plugin(self, key: ResourceKey) -> None:
        """Raises InvalidInput, NotSupported where a restore from the copy would not know what to do with it."""
        plugin, name = self.plugin(key), self.provider.plugin_name(key.type)
        theirs = self._saved_of(key).plugin
        if theirs != name:
            raise errors.InvalidInput(
                f"{key.type} was saved by {theirs}, and the provider {self.provider.info.name} has {name} for it.",
                next_action="copy to a provider with the same plug-in",
            )
        if not plugin.can_copy():
            raise errors.NotSupported(f"{name} keeps a part of {key.type} outside the bank and cannot copy it.")

    def _saved_of(self, key: ResourceKey) -> SavedResource:
        saved = self._source_saved.get(key.text)
        if saved is None:
            raise errors.IntegrityError(f"The checkpoint holds nothing of {key.text}.")
        return saved

    def _earlier_copies(self, key: ResourceKey, name: str) -> Sequence[str]:
        """Streams of this resource over there, newest first; the vault itself finds out what they are copies of."""
        with self.parts.database.read() as rows:
            found = rows.checkpoints.earlier(
                project_id=self.job.project_id, provider_id=self.job.provider_id, key=key.text, copies=True, limit=10
            )
        return [saved.streams[name] for _checkpoint_id, saved in found if name in saved.streams]

    @staticmethod
    def _result(saved: SavedResource, streams: Mapping[str, Any], more: Protected | None) -> dict[str, Any]:
        added = {name: info.to_dict() for name, info in more.streams.items()} if more else {}
        return {
            "saved": dict(more.saved if more else saved.saved),
            "streams": {**streams, **added},
            "mode": saved.mode,
            "base_id": None,  # over here there is no such checkpoint
            "consistency": saved.consistency,
        }

    def _protected(self, results: Mapping[str, Any]) -> dict[ResourceKey, Any]:
        return {
            node.key: results.get(step_name(node.key, "copy")) or self._result(self._saved_of(node.key), {}, None)
            for node in self.graph
        }

    def _record(self, checkpoint: Checkpoint, protected: Mapping[ResourceKey, Any]) -> CheckpointRecord:
        source = self._source
        infos = [info for done in protected.values() for info in done["streams"].values()]
        assert checkpoint.created_at is not None  # every row has one
        return CheckpointRecord(
            checkpoint_id=checkpoint.id,
            project_id=checkpoint.project_id,
            provider_id=checkpoint.provider_id,
            plan=source.plan,
            graph=source.graph,
            resources=tuple(self._saved(key, done) for key, done in protected.items()),
            created_at=iso(checkpoint.created_at),
            extra_info={**checkpoint.extra_info, **FINISHED},
            consistency=source.consistency,
            mode=source.mode,
            sizes=Sizes(
                logical=source.sizes.logical,
                read=sum(info["bytes_read"] for info in infos),
                stored=sum(info["bytes_stored"] for info in infos),
            ),
            source_id=source.checkpoint_id,
            stacks=source.stacks,
        )
