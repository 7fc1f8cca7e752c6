# SPDX-License-Identifier: Apache-2.0
"""How are the steps of a job run, kept, and gone on with after a crash? The only module that knows taskflow.

The flow's state lies in taskflow's tables of our database; each write checks the job's fence. A job whose payload names
a logbook is gone on with: steps that ended are not run again, the one that was interrupted is.
"""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, Protocol

from sqlalchemy.exc import SQLAlchemyError
from taskflow import engines, states, task
from taskflow.exceptions import NotFound, StorageFailure
from taskflow.patterns import graph_flow
from taskflow.persistence import models
from taskflow.types import failure

from karbor.common import context, faultpoints, jsontext
from karbor.db.database import Database, Transaction
from karbor.db.flowstore import FencedBackend, drop_flow, lease_was_lost
from karbor.model import errors
from karbor.model.operation import Job
from karbor.protection.control import Control
from karbor.protection.flows import Step

LOG = logging.getLogger(__name__)
ENDED = (states.SUCCESS, states.REVERTED, states.FAILURE)
FORMAT = 1  # of the steps and their results, as kept in a logbook; a job of another format is begun anew


class Performer(Protocol):
    """What an operation does in each step."""

    def perform(self, step: Step, results: Mapping[str, Any]) -> Any:
        """Do the step and return JSON. ``results`` are those of the steps it needs."""

    def undo(self, step: Step, results: Mapping[str, Any]) -> None:
        """Put back what the step did or had begun. ``results`` as in ``perform``, with the step's own where it has one.

        Raises only LeaseLost.
        """

    def failed(self, step: Step, fault: BaseException) -> None:
        """Note why the step failed, before anything is undone. The first note wins."""


class _Task(task.Task):  # type: ignore[misc]
    def __init__(self, step: Step, performer: Performer, control: Control) -> None:
        super().__init__(name=step.name, provides=step.name, requires=step.needs, revert_requires=step.needs)
        self.phase = step.phase  # by which an executor can tell what is urgent
        self._step, self._performer, self._control = step, performer, control

    def execute(self, **results: Any) -> Any:
        context.begin_job(self._control.job)  # this thread ran steps of other jobs before
        try:
            self._control.check()
            faultpoints.reach(self._point("step", "before"))
            answer = jsontext.plain(self._performer.perform(self._step, results))
            faultpoints.reach(self._point("step", "after"))
            return answer
        except errors.LeaseLost:
            raise
        except SQLAlchemyError as fault:  # without the database nobody can tell whose job this is
            self._control.lose()
            raise errors.LeaseLost(detail=f"the database failed in {self._step.name}: {fault}") from fault
        except Exception as fault:  # the edge between steps and engine: every fault gets a reason
            if self._step.phase == "committed":
                LOG.warning("clean-up after the commit failed step=%s cause=%s", self._step.name, fault)
                return None
            self._performer.failed(self._step, fault)
            self._control.abort()
            raise

    def revert(self, result: Any, flow_failures: Any, **results: Any) -> None:
        if self._control.lost or (isinstance(result, failure.Failure) and result.check(errors.LeaseLost)):
            return
        context.begin_job(self._control.job)
        own = {} if isinstance(result, failure.Failure) else {self._step.name: result}
        faultpoints.reach(self._point("undo", "before"))
        self._performer.undo(self._step, {**results, **own})
        faultpoints.reach(self._point("undo", "after"))

    def _point(self, what: str, edge: str) -> str:
        type_ = f"@{self._step.key.type}" if self._step.key else ""
        return f"{what}:{self._control.job.operation}.{self._step.phase}{type_}:{edge}"


def _suspend(engine: Any, job: Job) -> None:
    """Let the flow start no further step. Whoever asks must not fail with it: it also looks after other jobs."""
    try:
        engine.suspend()
    except (errors.LeaseLost, StorageFailure, SQLAlchemyError) as fault:
        # The wish could not be kept, so the flow does not know of it. It ends all the same: a lost job at its next
        # step or write, any other when its lease is given up.
        LOG.info("flow could not be told to stop job=%s cause=%s", job.id, fault)


def _undo_all(detail: Any, steps: Sequence[Step], performer: Performer) -> None:
    results = {atom.name: atom.results for atom in detail if isinstance(atom.results, dict)}
    for step in reversed(steps):
        performer.undo(step, {name: results[name] for name in (*step.needs, step.name) if name in results})


class Runner:
    """Runs jobs. ``executor`` is shared by all jobs of the worker, so that the number of running steps has a bound."""

    def __init__(self, database: Database, executor: Executor, *, backend: type[FencedBackend] = FencedBackend) -> None:
        self._database = database
        self._executor = executor
        self._backend = backend

    def resumable(self, job: Job) -> bool:
        """Whether an earlier worker left a flow of this job that can be gone on with."""
        return bool(job.payload.get("logbook")) and job.payload.get("format") == FORMAT

    def run(self, control: Control, steps: Sequence[Step], performer: Performer) -> bool:
        """Run, or go on with, the job's flow. True: all steps ended well. False: it failed and was undone.

        Raises LeaseLost where another worker has the job, Unavailable where the flow had to stop half-way (drain).
        """
        backend = self._backend(self._database, control.job, lost=lambda: control.lost)
        book, detail = self._logbook(backend, control)
        if detail.state in ENDED:
            return self._outcome(detail, steps, performer)
        flow = graph_flow.Flow(control.job.id)
        flow.add(*[_Task(step, performer, control) for step in steps])
        engine = engines.load(
            flow, flow_detail=detail, book=book, backend=backend, engine="parallel", executor=self._executor
        )
        control.on_suspend = lambda: _suspend(engine, control.job)
        try:
            engine.run()
        except Exception as fault:
            if control.lost or lease_was_lost(fault):
                raise errors.LeaseLost() from fault
            LOG.info("flow failed job=%s cause=%s", control.job.id, fault)
        if detail.state == states.SUSPENDED:
            raise errors.Unavailable("The worker was asked to stop; the operation goes on later.")
        if detail.state not in ENDED:  # its state could not be kept: the lease runs out, and the flow is gone on with
            control.lose()
            raise errors.LeaseLost(detail=f"the flow of job {control.job.id} stopped in state {detail.state}")
        return self._outcome(detail, steps, performer)

    def give_up(self, control: Control, steps: Sequence[Step], performer: Performer) -> None:
        """Undo every step of a job that shall not be gone on with."""
        if self.resumable(control.job):
            _book, detail = self._logbook(self._backend(self._database, control.job), control)
            _undo_all(detail, steps, performer)

    def forget(self, job: Job, rows: Transaction) -> None:
        """Drop the kept state of a job of ours that ends, or begins anew, in this transaction."""
        drop_flow(rows.connection, job)

    def _outcome(self, detail: Any, steps: Sequence[Step], performer: Performer) -> bool:
        if detail.state == states.FAILURE:  # undoing failed half-way; undoing again is harmless
            _undo_all(detail, steps, performer)
        return bool(detail.state == states.SUCCESS)

    def _logbook(self, backend: FencedBackend, control: Control) -> tuple[Any, Any]:
        with backend.get_connection() as connection:
            if self.resumable(control.job):
                try:
                    book = connection.get_logbook(control.job.payload["logbook"])
                    return book, next(iter(book))
                except NotFound as fault:
                    with self._database.read() as rows:
                        rows.jobs.check(control.job)  # mostly, somebody else has ended the job meanwhile
                    LOG.warning("kept flow is gone, beginning anew job=%s cause=%s", control.job.id, fault)
            book = models.LogBook(control.job.id)
            detail = models.FlowDetail(control.job.id, uuid=book.uuid)
            book.add(detail)
            connection.save_logbook(book)
        with self._database.write() as rows:
            control.job = rows.jobs.set_payload(control.job, logbook=book.uuid, format=FORMAT)
        return book, detail
