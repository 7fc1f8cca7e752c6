# SPDX-License-Identifier: Apache-2.0
"""How are restores kept, and the sealed logins of those that go into another cloud?"""

from typing import Any

import sqlalchemy as sa

from karbor.db.runs import Runs, listing
from karbor.db.tables import RESTORE_LOGINS, RESTORES
from karbor.model import states
from karbor.model.restore import Restore, without_secrets


class Restores(Runs[Restore]):
    """The restores."""

    noun = "restore"
    table = RESTORES
    kind = Restore
    states = states.RESTORE
    LISTING = listing(RESTORES)

    def drop_resource(self, id: str, key: str) -> None:
        """Show no more what became of one resource: it only passed. Raises NotFound."""
        row = self._row(id, lock=True)
        kept = {
            column: {name: text for name, text in getattr(row, column).items() if name != key}
            for column in ("resources_status", "resources_reason")
        }
        self._update(id, updated_at=self._clock.now(), **kept)

    def keep_login(self, id: str, sealed: str) -> None:
        """Keep how the worker logs in at the target of this restore, sealed; it is erased when the restore ends."""
        self._connection.execute(sa.insert(RESTORE_LOGINS).values(restore_id=id, sealed=sealed))

    def login(self, id: str) -> str | None:
        """What ``keep_login`` kept; None where there is nothing, or the restore has ended."""
        query = sa.select(RESTORE_LOGINS.c.sealed).where(RESTORE_LOGINS.c.restore_id == id)
        found: str | None = self._connection.execute(query).scalar()
        return found

    def transition(self, id: str, new_status: str, **changes: Any) -> Restore:
        """See Runs. In a status that it stays in for good, nothing is left of its login and its secret parameters."""
        found = super().transition(id, new_status, **changes)
        if not self.states.moves[found.status]:
            self._connection.execute(sa.delete(RESTORE_LOGINS).where(RESTORE_LOGINS.c.restore_id == id))
            kept = without_secrets(found.parameters)
            if kept != found.parameters:
                self._update(id, parameters=kept)
                found = self.get(id)
        return found
