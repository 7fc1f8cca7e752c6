# SPDX-License-Identifier: Apache-2.0
"""What does the REST API do in tests of the engine? A twin that keeps its checkpoints in a table of the same database.

Like the API, it begins work once for each key, and learns in the same transaction for which run it is asked. It may be
shared by any number of processes.
"""

import uuid

import sqlalchemy as sa

from karbor.common.clock import iso
from karbor.model import errors
from karbor.operationengine.northbound import Northbound

MADE = sa.Table(
    "north_made",
    sa.MetaData(),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(64), nullable=False),
    sa.Column("key_", sa.String(200), nullable=False, unique=True),
    sa.Column("operation_id", sa.String(64), nullable=False),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("status", sa.String(32), nullable=False),
    sa.Column("at", sa.String(40), nullable=False),
)


class NorthTwin(Northbound):
    """``ends`` is what becomes of a checkpoint at once; ``faults`` are raised by the next requests, ``late`` ones after
    the work was begun: its answer is lost. ``asked`` lists every request."""

    def __init__(self, database, *, ends="available"):
        self._database = database
        self.ends = ends
        self.faults, self.late, self.asked = [], [], []
        self.verified, self.targets, self.conflicts = {}, {}, []
        self.locks = {}  # run id -> what its checkpoint shows of locks

    @staticmethod
    def prepare(database):
        """Make the table; once for all twins."""
        MADE.metadata.create_all(database.engine)

    def made(self):
        """(operation, run, status) of every checkpoint that was made, in order."""
        with self._database.read() as rows:
            columns = (MADE.c.operation_id, MADE.c.run_id, MADE.c.status)
            return [tuple(row) for row in rows.connection.execute(sa.select(*columns).order_by(MADE.c.number))]

    def set(self, status, id=None):
        """What becomes of one checkpoint, or of all."""
        with self._database.write() as rows:
            query = sa.update(MADE).values(status=status)
            rows.connection.execute(query.where(MADE.c.id == id) if id else query)

    def _ask(self, *what):
        self.asked.append(what)
        if self.faults:
            raise self.faults.pop(0)

    def protect(self, run):
        self._ask("protect", run.id, run.fence)
        key = run.key("protect")

        def make(rows):
            found = rows.connection.execute(sa.select(MADE).where(MADE.c.key_ == key)).first()
            if found is not None:
                return found.id
            id = str(uuid.uuid4())
            values = {"id": id, "key_": key, "operation_id": run.scheduled_operation_id, "run_id": run.id}
            at = iso(rows.fires.now())
            rows.connection.execute(sa.insert(MADE).values(**values, status=self.ends, at=at))
            rows.scheduled_runs.attach(
                run.id, fence=run.fence, operation_id=run.scheduled_operation_id, checkpoint_id=id
            )
            return id

        id = self._database.retrying(make)
        if self.late:
            raise self.late.pop(0)
        return self.checkpoint(run, run.provider_id, id)

    def checkpoint(self, run, provider_id, checkpoint_id):
        self._ask("checkpoint", checkpoint_id)
        with self._database.read() as rows:
            row = rows.connection.execute(sa.select(MADE).where(MADE.c.id == checkpoint_id)).first()
        if row is None:
            raise errors.NotFound("There is no such checkpoint.")
        return self._shown(row)

    def checkpoints(self, run, **filters):
        self._ask("checkpoints")
        with self._database.read() as rows:
            found = rows.connection.execute(sa.select(MADE).order_by(MADE.c.number)).all()
        for row in found:  # the oldest first: whoever relies on the order is wrong
            if filters.get("status", row.status) == row.status:
                yield self._shown(row)

    def _shown(self, row):
        return {
            **self.locks.get(row.run_id, {}),
            "id": row.id,
            "status": row.status,
            "created_at": row.at,
            "extra_info": f'{{"scheduled_operation_id": "{row.operation_id}"}}',
            "reason": {"cause": "no space", "next_action": "make some"} if row.status == "error" else None,
            "protection_plan": {"resources": [{"type": "OS::Nova::Server"}]},
            "source_id": None,
            "verified_level": None,
        }

    def delete(self, run, checkpoint_id):
        self._ask("delete", checkpoint_id)
        with self._database.write() as rows:
            if not rows.connection.execute(sa.delete(MADE).where(MADE.c.id == checkpoint_id)).rowcount:
                raise errors.NotFound("There is no such checkpoint.")

    def cancel(self, run, checkpoint_id):
        self._ask("cancel", checkpoint_id)
        self.set("error", checkpoint_id)

    def verify(self, run, checkpoint_id, parameters):
        self._ask("verify", checkpoint_id, parameters)
        found = {"id": str(uuid.uuid4()), "checkpoint_id": checkpoint_id, "status": "in_progress"}
        return self.verified.setdefault(run.key("verify"), found)

    def verification(self, run, verification_id):
        self._ask("verification", verification_id)
        return next(one for one in self.verified.values() if one["id"] == verification_id)

    def plan_restore(self, run, checkpoint_id):
        self._ask("plan_restore", checkpoint_id)
        return {"checkpoint_id": checkpoint_id, "conflicts": [{"reason": text} for text in self.conflicts]}

    def copy(self, run, target_provider_id):
        self._ask("copy", target_provider_id)
        with self._database.read() as rows:
            return [row.id for row in rows.connection.execute(sa.select(MADE))]
