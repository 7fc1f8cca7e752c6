# SPDX-License-Identifier: Apache-2.0
"""How does a database, empty or old, come to the newest schema, when several processes start at once?"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection, Engine

from karbor.model import errors

_LOCK = "karbor-schema"
_LOCK_NUMBER = 0x6B6172626F72  # "karbor": PostgreSQL's locks have numbers, and are per database
_LOCK_SECONDS = 600


def settings(connection: Connection | None = None) -> Config:
    """Alembic's settings: where the migrations lie, and the connection they run on."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def upgrade(engine: Engine) -> None:
    """Run all migrations that have not been run. One process at a time; the others wait and find nothing to do.

    Raises Unavailable where another process holds the lock for ten minutes.
    """
    with _alone(engine), engine.begin() as connection:
        command.upgrade(settings(connection), "head")


def revisions(engine: Engine) -> tuple[str, ...]:
    """The newest migrations that have been run: one, as a rule."""
    with engine.begin() as connection:
        return tuple(MigrationContext.configure(connection).get_current_heads())


def is_current(engine: Engine) -> bool:
    """Whether the newest migration has been run, and none that this release does not know."""
    return set(revisions(engine)) == set(ScriptDirectory.from_config(settings()).get_heads())


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    """Hold the lock on a connection of its own, so that it is given back only after the migrations are committed."""
    kind = engine.dialect.name
    if kind not in ("postgresql", "mysql", "mariadb"):
        yield  # SQLite: the transaction itself (BEGIN IMMEDIATE) is the lock, and statements on tables are part of it
        return
    with engine.begin() as guard:
        if kind == "postgresql":
            guard.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK_NUMBER)))
            yield
            return
        # MariaDB commits at every statement on tables; its named locks belong to the session and to the whole server.
        name = sa.func.concat(f"{_LOCK}-", sa.func.md5(sa.func.database()))  # at most 64 characters
        if guard.execute(sa.select(sa.func.get_lock(name, _LOCK_SECONDS))).scalar() != 1:
            raise errors.Unavailable("Another process has been changing the database schema for long.")
        try:
            yield
        finally:
            guard.execute(sa.select(sa.func.release_lock(name)))
