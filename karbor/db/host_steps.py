# SPDX-License-Identifier: Apache-2.0
"""How does a job hand a step to the worker of another host, and get the answer?

Whoever has the job asks, waits and removes the row; the worker of the host takes it, keeps a lease on it and answers.
Every write of either shows the fence of the job: when another worker has the job, the row is worth nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from karbor.db.jobs import check_fence, server_ms
from karbor.db.query import Condition
from karbor.db.repository import Repository
from karbor.db.tables import HOST_STEPS
from karbor.model import errors, states
from karbor.model.host_step import HostStep
from karbor.model.operation import Job

_C = HOST_STEPS.c


class HostSteps(Repository):
    """The host steps."""

    noun = "host step"
    table = HOST_STEPS

    def ask(self, job: Job, step: HostStep) -> HostStep:
        """Keep a new one; those of earlier claims on the job go. Raises LeaseLost where the job is not ours."""
        check_fence(self._connection, job)
        self._connection.execute(sa.delete(HOST_STEPS).where(_C.job_id == job.id, _C.fence < job.fence))
        self._insert(**asdict(step) | {"created_at": self._clock.now()})
        return self.get(step.id)

    def get(self, id: str) -> HostStep:
        """Raises NotFound."""
        return _host_step(self._row(id))

    def silent(self, id: str) -> bool:
        """Whether its worker has not been heard of for its lease, while it runs."""
        quiet = sa.and_(_C.state == "running", _C.lease_until_ms < server_ms(self._connection, self._clock))
        return self._connection.execute(sa.select(_C.id).where(_C.id == id, quiet)).first() is not None

    def stop(self, id: str) -> None:
        """Whoever asked needs it no more: its worker shall end soon."""
        self._update(id, stopping=True)

    def withdraw(self, id: str, *states: str) -> bool:
        """Remove it, where it is in one of these states or none is named. Whether it is gone now."""
        wanted = (_C.id == id, *([_C.state.in_(states)] if states else []))
        self._connection.execute(sa.delete(HOST_STEPS).where(*wanted))
        return self._connection.execute(sa.select(_C.id).where(_C.id == id)).first() is None

    def waiting(self, *, host: str, spare: Sequence[str] = ()) -> bool:
        """Whether ``take`` would find anything."""
        query = sa.select(_C.id).where(self._wanted(host, spare)).limit(1)
        return self._connection.execute(query).first() is not None

    def take(
        self, *, host: str, owner: str, lease_ms: int, limit: int, spare: Sequence[str] = ()
    ) -> Sequence[HostStep]:
        """Take at most ``limit`` of what is asked of this host, also what another worker of it left; oldest first.

        Those with an id in ``spare`` are let alone. Nobody else gets the same one, unless the lease runs out.
        """
        now = server_ms(self._connection, self._clock)
        query = sa.select(HOST_STEPS).where(self._wanted(host, spare)).order_by(_C.created_at, _C.id).limit(limit)
        taken = []
        for row in self._connection.execute(query).all():
            same = (_C.state == row.state, _C.lease_until_ms == row.lease_until_ms)
            new = {"state": "running", "owner": owner, "lease_until_ms": now + lease_ms}
            if self._update(row.id, *same, **new, updated_at=self._clock.now()):
                taken.append(self.get(row.id))
        return taken

    def _wanted(self, host: str, spare: Sequence[str]) -> Condition:
        left = sa.and_(_C.state == "running", _C.lease_until_ms < server_ms(self._connection, self._clock))
        return sa.and_(_C.host == host, sa.or_(_C.state == "asked", left), _C.id.not_in(list(spare)))

    def beat(self, step: HostStep, *, lease_ms: int, progress: Mapping[str, int]) -> HostStep:
        """Keep it; returns the row (see its ``stopping``). Raises LeaseLost where it is not ours any more."""
        until = server_ms(self._connection, self._clock) + lease_ms
        self._change(step, lease_until_ms=until, progress=progress)
        return self.get(step.id)

    def release(self, step: HostStep) -> None:
        """Let the next worker of the host do it. Raises LeaseLost."""
        self._change(step, state=states.HOST_STEP.move("running", "asked"), owner=None, lease_until_ms=0)

    def answer(self, step: HostStep, value: Any, *, progress: Mapping[str, int]) -> None:
        """It was done. Raises LeaseLost where it is not ours any more."""
        ended = {"state": states.HOST_STEP.move("running", "done"), "progress": progress}
        self._change(step, **ended, answer={"value": value})

    def fail(self, step: HostStep, fault: Mapping[str, Any]) -> None:
        """It failed. Raises LeaseLost where it is not ours any more."""
        self._change(step, state=states.HOST_STEP.move("running", "failed"), fault=fault)

    def _change(self, step: HostStep, **values: Any) -> None:
        ours = (_C.state == "running", _C.owner == step.owner)
        if not self._update(step.id, *ours, **values, updated_at=self._clock.now()):
            raise errors.LeaseLost(detail=f"step {step.phase} of {step.resource} of job {step.job_id} is not ours")


def _host_step(row: Row[Any]) -> HostStep:
    return HostStep(**row._mapping)
