# SPDX-License-Identifier: Apache-2.0
"""How does a database get a million rows in a minute? One row is written as the service does, and copied in bulk."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from karbor.db.database import Database
from karbor.model.checkpoint import Checkpoint, Sizes
from karbor.model.graph import Node, ResourceGraph
from karbor.model.plan import Plan
from karbor.model.provider import ProviderInfo
from karbor.model.resource import Resource, ResourceKey

PROJECT = "3c65d64bc6a64aa3a2ec1b4ec4e1ee0c"
OTHER = "5a3b1c2d4e5f60718293a4b5c6d7e8f9"
PROVIDER = "cf56bd3e-97a7-4078-b6d5-f36246333fd9"
SERVER = "11111111-2222-4333-8444-555555555555"
VOLUME = "66666666-7777-4888-8999-aaaaaaaaaaaa"
#: Checkpoints of one plan, at most: five a day for half a year.
PLANS_WITH_CHECKPOINTS = 1000
BATCH = 2000
FIRST = datetime(2023, 1, 1, tzinfo=UTC)
SPAN = timedelta(days=3 * 365)
SERVER_RESOURCE = Resource("OS::Nova::Server", SERVER, "web1")


def plan_id(number: int) -> str:
    """The id of a plan that is there."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"plan {number}"))


def _graph() -> dict[str, Any]:
    volume = ResourceKey("OS::Cinder::Volume", VOLUME)
    return ResourceGraph(
        [
            Node(volume, Resource(volume.type, volume.id, "data")),
            Node(ResourceKey(SERVER_RESOURCE.type, SERVER), SERVER_RESOURCE, (volume,)),
        ]
    ).to_dict()


class Rows:
    """Fills the tables. ``some`` is the id of a checkpoint that is there."""

    def __init__(self, database: Database, random: Any) -> None:
        self._database = database
        self._random = random
        self._checkpoints = 0
        self.some = ""

    def provider(self) -> None:
        """The one provider."""
        schemas = {"options_schema": {"OS::Nova::Server": {}, "OS::Cinder::Volume": {}}}
        with self._database.write() as rows:
            rows.providers.put(ProviderInfo(id=PROVIDER, name="bench", description="", schemas=schemas))

    def plans(self, count: int) -> None:
        """Plans of the project, and a tenth as many of another."""
        plan = Plan(
            id=plan_id(0),
            project_id=PROJECT,
            name="web shop 0",
            provider_id=PROVIDER,
            resources=(SERVER_RESOURCE, Resource("OS::Cinder::Volume", VOLUME, "data")),
            description="every night",
            parameters={"OS::Nova::Server": {"quiesce": "try"}},
        )
        with self._database.write() as rows:
            rows.plans.create(plan)

        def change(number: int) -> dict[str, Any]:
            owner = PROJECT if number % 11 else OTHER
            return {
                "id": plan_id(number),
                "name": f"web shop {number}",
                "project_id": owner,
                "created_at": self._moment(number / count),
            }

        self._copy("plans", plan.id, range(1, count), change)

    def checkpoints(self, count: int) -> None:
        """As many checkpoints as that altogether, more with each call."""
        first = self._checkpoints or 1
        plans = max(1, min(PLANS_WITH_CHECKPOINTS, count // 100))
        template = str(uuid.uuid5(uuid.NAMESPACE_OID, "checkpoint 0"))
        if not self._checkpoints:
            self.some = template
            with self._database.write() as rows:
                rows.checkpoints.create(self._checkpoint(template))
        self._checkpoints = count

        def change(number: int) -> dict[str, Any]:
            chance = self._random.random()
            created = self._moment(self._random.random())
            return {
                "id": str(uuid.UUID(int=self._random.getrandbits(128))),
                "project_id": PROJECT if number % 11 else OTHER,
                "plan_id": plan_id(number % plans if number % 50 else 7),
                "status": "error" if chance < 0.001 else "protecting" if chance < 0.002 else "available",
                "created_at": created,
                "finished_at": created + 60_000_000,
            }

        self._copy("checkpoints", template, range(first, count), change)

    def _checkpoint(self, id: str) -> Checkpoint:
        with self._database.read() as rows:
            plan = rows.plans.get(plan_id(7))
        return Checkpoint(
            id=id,
            project_id=PROJECT,
            provider_id=PROVIDER,
            plan_id=plan.id,
            plan=plan.snapshot(),
            status="available",
            graph=_graph(),
            extra_info={"created_by": "manual"},
            consistency="filesystem",
            mode="incremental",
            sizes=Sizes(10 << 30, 1 << 26, 1 << 25),
            finished_at=FIRST,
        )

    def _moment(self, part: float) -> int:
        """Microseconds since 1970 of a moment in the span, by the second: some fall together."""
        return int((FIRST + SPAN * part).timestamp()) * 1_000_000

    def _copy(self, name: str, template: str, numbers: range, change: Any) -> None:
        """Copies of a row as it lies in the table, with some columns changed."""
        with self._database.write() as rows:
            row = rows.connection.execute(sa.text(f"SELECT * FROM {name} WHERE id = :id"), {"id": template}).one()
            if rows.connection.dialect.name == "sqlite":  # random keys go everywhere in ten indexes
                rows.connection.exec_driver_sql("PRAGMA cache_size=-600000")
            plain = sa.table(name, *(sa.column(column) for column in row._mapping))
            values = dict(row._mapping)
            for begin in range(numbers.start, numbers.stop, BATCH):
                batch = [values | change(number) for number in range(begin, min(begin + BATCH, numbers.stop))]
                rows.connection.execute(sa.insert(plain), batch)
        with self._database.engine.connect() as connection:
            analyze = "ANALYZE TABLE" if connection.dialect.name in ("mysql", "mariadb") else "ANALYZE"
            connection.execution_options(isolation_level="AUTOCOMMIT") if connection.dialect.name != "sqlite" else None
            connection.execute(sa.text(f"{analyze} {name}"))
            connection.commit()
