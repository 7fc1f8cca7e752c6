# SPDX-License-Identifier: Apache-2.0
"""How is kept which checkpoints are offered as disks, and which worker offers them?"""

from collections.abc import Iterable, Sequence
from datetime import timedelta

import sqlalchemy as sa

from karbor.db.repository import upsert
from karbor.db.runs import Runs, listing
from karbor.db.tables import EXPORTS, TURNS
from karbor.model import states
from karbor.model.export import OPEN, Export

_C = EXPORTS.c
_AT_ONCE = 16
_GRACE = timedelta(minutes=1)
_TURN = "exports"  # locked while one is added: no project gets more than its bound


class Exports(Runs[Export]):
    """The exports."""

    noun = "export"
    table = EXPORTS
    kind = Export
    states = states.EXPORT
    LISTING = listing(EXPORTS)

    def count_open(self, project_id: str) -> int:
        """How many the project has that have not ended. Nobody else can add one until the transaction ends."""
        upsert(self._connection, TURNS, {"name": _TURN}, new={})
        query = sa.select(sa.func.count()).where(_C.project_id == project_id, _C.status.in_(OPEN))
        return int(self._connection.execute(query).scalar_one())

    def open_of(self, *, checkpoint_id: str) -> Sequence[Export]:
        """Those of a checkpoint that have not ended."""
        query = sa.select(EXPORTS).where(_C.checkpoint_id == checkpoint_id, _C.status.in_(OPEN))
        return [self._run(row) for row in self._connection.execute(query.order_by(_C.created_at, _C.id))]

    def take(self, *, host: str, provider_ids: Iterable[str]) -> Export | None:
        """Take one of these providers that waits for this host, or for any. Nobody else gets the same one.

        None where there is none. One that was taken stays with its host: its process is there.
        """
        waiting = sa.and_(_C.host.is_(None), _C.status == "starting", _C.provider_id.in_(list(provider_ids)))
        query = sa.select(_C.id).where(waiting).order_by(_C.created_at, _C.id).limit(_AT_ONCE)
        for id in self._connection.execute(query).scalars().all():
            if self._update(id, _C.host.is_(None), _C.status == "starting", host=host, updated_at=self._clock.now()):
                return self.get(id)
        return None

    def on(self, host: str) -> Sequence[Export]:
        """What this host offers, or has to begin or to end; oldest first."""
        query = sa.select(EXPORTS).where(_C.status.in_(OPEN), _C.host == host)
        return [self._run(row) for row in self._connection.execute(query.order_by(_C.created_at, _C.id))]

    def end_overdue(self, *, reason: str) -> int:
        """Close those whose time is over for more than a minute, whichever host had them: none of them runs any more.
        Returns how many."""
        late = self._clock.now() - _GRACE
        query = sa.select(_C.id).where(_C.status.in_(OPEN), _C.expires_at < late).limit(_AT_ONCE)
        found = self._connection.execute(query).scalars().all()
        for id in found:
            self.transition(id, "closed", reason=reason, finished_at=self._clock.now())
        return len(found)
