# SPDX-License-Identifier: Apache-2.0
"""How could the service be wrong? Each build leaves out one part of what makes an end true."""

from contextlib import contextmanager

import sqlalchemy as sa

from karbor.db.database import Database
from karbor.db.flowstore import FencedBackend
from karbor.db.flowtables import LOGBOOKS
from karbor.db.jobs import Jobs
from karbor.db.tables import JOBS
from karbor.protection import flows
from karbor.protection.attempt import OPERATIONS
from karbor.protection.copy import CopyOperation
from karbor.protection.protect import ProtectOperation
from karbor.protection.runner import Runner
from tests.support.simbank import RecordFirstBank
from tests.support.simsite import Build


class TrustingJobs(Jobs):
    """Believes everybody who says that a job is theirs."""

    def check(self, job):
        """Does not look."""

    def finish(self, job, state):
        self._update(job.id, state=state, lease_until_ms=0, updated_at=self._clock.now())

    def _payload(self, job):
        return self.get(job.id).payload

    def _change(self, job, **values):
        self._update(job.id, JOBS.c.id == job.id, **values, updated_at=self._clock.now())


class UnfencedDatabase(Database):
    """Gives out repositories that never ask for the fence."""

    @contextmanager
    def read(self):
        with super().read() as rows:
            rows.jobs = TrustingJobs(rows.connection, self._clock, rows.changes)
            yield rows

    @contextmanager
    def write(self):
        with super().write() as rows:
            rows.jobs = TrustingJobs(rows.connection, self._clock, rows.changes)
            yield rows


class UnfencedBackend(FencedBackend):
    """Lets everybody write into the flow of a job."""

    def require_ours(self, connection):
        """Does not look."""


class UnfencedRunner(Runner):
    """Keeps flows that anybody may write into."""

    def __init__(self, database, executor):
        super().__init__(database, executor, backend=UnfencedBackend)

    def forget(self, job, rows):
        rows.connection.execute(sa.delete(LOGBOOKS).where(LOGBOOKS.c.name == job.id))


class NoFence(Build):
    """The fence check is removed."""

    database, runner = UnfencedDatabase, UnfencedRunner
    rates = {"stop": 0.01}
    asked = ("protect", "protect", "reset", "reset", "delete", "verify")


class RecordFirst(Build):
    """The order of writes is swapped: the record before the packs."""

    rates = {"kill": 0.01}
    asked = ("protect", "protect", "copy", "change")

    def bank(self, bank):
        return RecordFirstBank(bank)


class _Blind:
    def engine_step(self, step, results):
        return None if step.phase == flows.READ_BACK else super().engine_step(step, results)


class BlindProtect(_Blind, ProtectOperation):
    """Says that all is well without having looked."""


class BlindCopy(_Blind, CopyOperation):
    """The same, of a copy."""


class NoReadBack(Build):
    """Nothing is read back."""

    rates = {"lie": 0.1}
    asked = ("protect", "protect", "copy", "change")
    operations = {**OPERATIONS, "protect": BlindProtect, "copy": BlindCopy}


ALL = (NoFence, RecordFirst, NoReadBack)
