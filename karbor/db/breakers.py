# SPDX-License-Identifier: Apache-2.0
"""Which scheduled operations failed several times in a row, and are not begun for a while because of that?

A row is there from the first failure until the first success. After ``after`` failures in a row the operation rests;
the first run behind the pause is the trial: if it ends well, all is forgotten, and if it fails, the pause is twice as
long.
"""

from collections.abc import Iterable

import sqlalchemy as sa

from karbor.db.fires import moment, now_ms
from karbor.db.repository import Repository, upsert
from karbor.db.scheduletables import BREAKERS
from karbor.model.scheduled_operation import Health

_C = BREAKERS.c
LONGEST_MS = 24 * 3600 * 1000


class Breakers(Repository):
    """One row for each scheduled operation that fails."""

    noun = "breaker"
    table = BREAKERS

    def note(self, operation_id: str, *, good: bool, after: int, pause_ms: int) -> None:
        """A run of the operation ended. ``after`` 0: it is never paused."""
        if good:
            self.forget(operation_id)
            return
        key = {"scheduled_operation_id": operation_id}
        upsert(
            self._connection, BREAKERS, key, new={"failures": 1}, change={"failures": BREAKERS.c.failures + 1}
        )  # and locks it
        wanted = _C.scheduled_operation_id == operation_id
        failures = self._connection.execute(sa.select(_C.failures).where(wanted)).scalar_one()
        if after and failures >= after:
            pause = min(pause_ms * 2 ** min(failures - after, 20), LONGEST_MS)
            until = now_ms(self._connection, self._clock) + pause
            self._connection.execute(sa.update(BREAKERS).where(wanted).values(paused_until_ms=until))

    def of(self, operation_ids: Iterable[str]) -> dict[str, Health]:
        """Of each of these that failed last: how often in a row, and until when it is paused, if it is."""
        wanted = list(set(operation_ids))
        query = sa.select(BREAKERS).where(_C.scheduled_operation_id.in_(wanted))
        now = now_ms(self._connection, self._clock) if wanted else 0
        return {
            row.scheduled_operation_id: Health(
                row.failures, moment(row.paused_until_ms) if row.paused_until_ms > now else None
            )
            for row in (self._connection.execute(query) if wanted else ())
        }

    def forget(self, operation_id: str) -> None:
        """It did well, was changed, or is gone."""
        self._connection.execute(sa.delete(BREAKERS).where(_C.scheduled_operation_id == operation_id))
