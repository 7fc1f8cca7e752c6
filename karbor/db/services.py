# SPDX-License-Identifier: Apache-2.0
"""How are the daemons' signs of life kept, and which of them is disabled?"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from karbor.db.query import storable
from karbor.db.repository import Repository, upsert
from karbor.db.tables import SERVICES
from karbor.model import errors
from karbor.model.service import Service

_C = SERVICES.c
_LARGEST = 2**31 - 1


class Services(Repository):
    """One row for each daemon on each host. Its number stays the same for ever."""

    noun = "service"
    table = SERVICES

    def heartbeat(self, *, binary: str, host: str) -> None:
        """This daemon is alive now."""
        now = self._clock.now()
        beat = sa.update(SERVICES).where(_C.binary == binary, _C.host == host).values(updated_at=now)
        if self._connection.execute(beat).rowcount:
            return
        # Its other process may be quicker.
        key, new = {"binary": binary, "host": host}, {"created_at": now, "updated_at": now}
        upsert(self._connection, SERVICES, key, new=new, change={"updated_at": now})

    def get(self, id: int) -> Service:
        """Raises NotFound."""
        query = sa.select(SERVICES).where(_C.id == id)
        row = self._connection.execute(query).first() if 0 < id <= _LARGEST else None
        if row is None:
            raise errors.NotFound(f"The service {str(id)[:20]} could not be found.")
        return _service(row)

    def list(self, host: str | None = None, binary: str | None = None) -> tuple[Service, ...]:
        """All of them, or those of this host or of this name, by name and host."""
        wanted = [(column, value) for column, value in ((_C.host, host), (_C.binary, binary)) if value is not None]
        if not all(storable(value) for _column, value in wanted):
            return ()
        query = sa.select(SERVICES).where(*(column == value for column, value in wanted))
        return tuple(_service(row) for row in self._connection.execute(query.order_by(_C.binary, _C.host)))

    def set_enabled(self, id: int, enabled: bool, reason: str | None = None) -> Service:
        """Enable or disable it; returns it as it is now. An enabled one has no reason. Raises NotFound."""
        self.get(id)
        values = {"disabled": int(not enabled), "disabled_reason": None if enabled else reason}
        self._connection.execute(sa.update(SERVICES).where(_C.id == id).values(**values))
        return self.get(id)


def _service(row: Row[Any]) -> Service:
    return Service(**dict(row._mapping) | {"disabled": bool(row.disabled)})
