# SPDX-License-Identifier: Apache-2.0
"""How is kept which requests were made under an idempotency key, and what was answered?"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from karbor.db.query import storable
from karbor.db.repository import Repository
from karbor.db.tables import REPEATS
from karbor.model import errors
from karbor.model.repeat import Repeat

_C = REPEATS.c
_AT_ONCE = 100


class Repeats(Repository):
    """One row for each key of a project; a project never sees another's."""

    noun = "repeat"
    table = REPEATS

    def find(self, project_id: str, key: str) -> Repeat | None:
        """What is kept under the key; None where there is nothing."""
        if not (storable(project_id) and storable(key)):
            return None
        row = self._connection.execute(sa.select(REPEATS).where(_C.project_id == project_id, _C.key == key)).first()
        return Repeat(**row._mapping) if row else None

    def begin(self, repeat: Repeat, *, oldest: datetime | None = None) -> Repeat | None:
        """Take the key for this request. None: it is ours now; otherwise what is kept under it since ``oldest``.

        Waits for a transaction that has just taken the same key, until that one ends.
        """
        if oldest is not None:
            ours = sa.and_(_C.project_id == repeat.project_id, _C.key == repeat.key)
            self._connection.execute(sa.delete(REPEATS).where(ours, _C.created_at < oldest))
        try:
            self._insert(
                project_id=repeat.project_id,
                key=repeat.key,
                path=repeat.path,
                body_hash=repeat.body_hash,
                created_at=repeat.created_at or self._clock.now(),
            )
        except errors.Conflict:
            return self.find(repeat.project_id, repeat.key)
        return None

    def end(self, repeat: Repeat, response: Mapping[str, Any]) -> None:
        """Keep what was answered to the request that took the key."""
        ours = sa.and_(_C.project_id == repeat.project_id, _C.key == repeat.key)
        self._connection.execute(sa.update(REPEATS).where(ours).values(response=dict(response)))

    def forget(self, *, before: datetime) -> int:
        """Remove some of the keys that are older than this moment; returns how many. Bounded for each call."""
        old = sa.select(_C.project_id, _C.key).where(_C.created_at < before).order_by(_C.created_at).limit(_AT_ONCE)
        found = self._connection.execute(old).all()
        for project_id, key in found:
            self._connection.execute(sa.delete(REPEATS).where(_C.project_id == project_id, _C.key == key))
        return len(found)
