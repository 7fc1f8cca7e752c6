# SPDX-License-Identifier: Apache-2.0
"""How are the daemons' signs of life kept?"""

import sqlalchemy as sa

from karbor.db.repository import Repository
from karbor.db.tables import SERVICES
from karbor.model import errors
from karbor.model.service import Service

_C = SERVICES.c


class Services(Repository):
    """One row for each daemon on each host."""

    noun = "service"
    table = SERVICES

    def heartbeat(self, *, binary: str, host: str) -> None:
        """This daemon is alive now."""
        now = self._clock.now()
        beat = sa.update(SERVICES).where(_C.binary == binary, _C.host == host).values(updated_at=now)
        if self._connection.execute(beat).rowcount == 1:
            return
        try:
            self._insert(binary=binary, host=host, created_at=now, updated_at=now)
        except errors.Conflict:  # its other process was quicker
            self._connection.execute(beat)

    def list(self) -> tuple[Service, ...]:
        """All of them, by name and host."""
        query = sa.select(SERVICES).order_by(_C.binary, _C.host)
        return tuple(Service(**row._mapping) for row in self._connection.execute(query))
