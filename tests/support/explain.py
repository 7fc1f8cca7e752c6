# SPDX-License-Identifier: Apache-2.0
"""How does a database carry out the queries of a piece of work: by which indexes, with which sorting?"""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import event
from sqlalchemy.engine import Connection


@contextmanager
def asked(connection: Connection) -> Iterator[list]:
    """The queries, with their values, that are sent on the connection inside the block."""
    found: list = []

    def note(_connection, _cursor, statement, parameters, _context, _many):
        if statement.startswith("SELECT"):
            found.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(connection, "before_cursor_execute", note)


def steps(connection: Connection, statement: str, parameters: object) -> list[str]:
    """The steps of carrying out a query, in the words of the database.

    PostgreSQL leaves small tables unindexed and sorts small results: with its costs for that set out of reach, it shows
    whether there is another way.
    """
    if connection.dialect.name == "sqlite":
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        return [row[3] for row in rows]
    if connection.dialect.name == "postgresql":
        for name in ("seqscan", "sort", "incremental_sort", "bitmapscan"):
            connection.exec_driver_sql(f"SET LOCAL enable_{name} = off")
        told = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar()
        return list(_nodes((json.loads(told) if isinstance(told, str) else told)[0]["Plan"]))
    rows = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
    return [f"{row.type} {row.key} {row.Extra}" for row in rows]


def dear(connection: Connection, step: str) -> bool:
    """Whether the step looks at a whole table or sorts what it found."""
    kind = connection.dialect.name
    if kind == "sqlite":
        return "TEMP B-TREE" in step or (step.startswith("SCAN") and "USING" not in step)
    if kind == "postgresql":
        return step.startswith(("Seq Scan", "Sort", "Incremental Sort"))
    return step.startswith("ALL ") or "filesort" in step or "temporary" in step


def _nodes(node: dict) -> Iterator[str]:
    yield f"{node['Node Type']} {node.get('Index Name', '')} {node.get('Index Cond', '')}".strip()
    for below in node.get("Plans", ()):
        yield from _nodes(below)
