# SPDX-License-Identifier: Apache-2.0
"""How much may a project have, and may it have more?"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from karbor.db import summaries, usage
from karbor.db.query import storable
from karbor.db.repository import Repository, upsert
from karbor.db.tables import QUOTA_CLASSES, QUOTA_USAGES, QUOTAS
from karbor.model import errors
from karbor.model.quota import DEFAULT_CLASS, KINDS, MAX_LIMIT, UNLIMITED, Drift

_LONGEST = 64  # characters of a project id


class Quotas(Repository):
    """The limits of projects and classes, and the counters of what projects have.

    ``defaults`` are the configured limits by kind; a kind that is missing there is unlimited. The class ``default``
    overrides them for every project, and a project's own limits override both. Other classes are kept, and have no
    effect.
    """

    noun = "quota"
    table = QUOTAS

    def limits(self, project_id: str, defaults: Mapping[str, int]) -> dict[str, int]:
        """What holds for the project, for each of KINDS; -1 is unlimited."""
        return self.class_limits(DEFAULT_CLASS, defaults) | self._kept(QUOTAS, QUOTAS.c.project_id, project_id)

    def set(self, project_id: str, limits: Mapping[str, int]) -> None:
        """Give the project limits of its own; kinds that are not named stay. Raises InvalidInput."""
        self._set(QUOTAS, {"project_id": project_id}, limits)

    def reset(self, project_id: str) -> None:
        """Take the project's own limits away. May be called twice."""
        if storable(project_id):
            self._connection.execute(sa.delete(QUOTAS).where(QUOTAS.c.project_id == project_id))

    def class_limits(self, name: str, defaults: Mapping[str, int]) -> dict[str, int]:
        """The limits of the class, for each of KINDS; the configured ones where it has none."""
        configured = {kind: defaults.get(kind, UNLIMITED) for kind in KINDS}
        return configured | self._kept(QUOTA_CLASSES, QUOTA_CLASSES.c.name, name)

    def set_class(self, name: str, limits: Mapping[str, int]) -> None:
        """Give the class limits; kinds that are not named stay. Raises InvalidInput."""
        self._set(QUOTA_CLASSES, {"name": name}, limits)

    def usage(self, project_id: str) -> dict[str, dict[str, int]]:
        """For each of KINDS what the project has: ``in_use``, and ``reserved``, which is always 0.

        Nothing is reserved: what is made is counted by the transaction that makes it.
        """
        found = usage.kept(self._connection, project_id) if storable(project_id) else {}
        have = found.get(project_id, {})
        return {kind: {"in_use": have.get(kind, 0), "reserved": 0} for kind in KINDS}

    def require(self, project_id: str, defaults: Mapping[str, int], kind: str, n: int = 1) -> None:
        """Make sure that the project may have ``n`` more of this kind. Raises TooLarge.

        Until the caller's transaction ends nobody else gets an answer for this project, so two at once cannot both take
        the last place: the caller makes the rows in the same transaction. How many bytes a checkpoint will have is not
        known when it is begun: ask for one byte, which refuses a new one once the limit has been reached.
        """
        limit = self.limits(project_id, defaults)[kind]
        if limit == UNLIMITED:
            return
        if usage.hold(self._connection, project_id)[kind] + n > limit:
            raise errors.TooLarge(f"Maximum number of {kind.replace('_', ' ')} allowed ({limit}) exceeded")

    def reconcile(self, project_id: str | None = None) -> Sequence[Drift]:
        """Count anew what exists, for all projects where none is named, and mend the counters.

        Returns what was wrong; nothing, as long as every change is made through these repositories. May be called at
        any time: only a project whose counters look wrong is locked, and looked at again.
        """
        kept = usage.kept(self._connection, project_id)
        counted = usage.counted(self._connection, project_id)
        nothing = dict.fromkeys(KINDS, 0)
        drifts: list[Drift] = []
        for project in sorted(kept.keys() | counted.keys()):
            if kept.get(project, nothing) != counted.get(project, nothing):
                drifts += self._mend(project)
        return [*drifts, *summaries.reconcile(self._connection, project_id)]

    def _mend(self, project_id: str) -> Sequence[Drift]:
        have = usage.hold(self._connection, project_id)
        found = usage.counted(self._connection, project_id).get(project_id, dict.fromkeys(KINDS, 0))
        drifts = [Drift(project_id, kind, have[kind], found[kind]) for kind in KINDS if have[kind] != found[kind]]
        if drifts:
            mended = sa.update(QUOTA_USAGES).where(QUOTA_USAGES.c.project_id == project_id).values(**found)
            self._connection.execute(mended)
        return drifts

    def _kept(self, table: sa.Table, column: sa.Column, name: str) -> dict[str, int]:
        query = sa.select(table.c.kind, table.c.hard_limit).where(column == name, table.c.kind.in_(KINDS))
        return dict(self._connection.execute(query).tuples().all()) if storable(name) else {}

    def _set(self, table: sa.Table, key: Mapping[str, Any], limits: Mapping[str, int]) -> None:
        if not all(storable(name) and 0 < len(name) <= _LONGEST for name in key.values()):
            raise errors.InvalidInput("A quota cannot be kept under this name.")
        for kind, limit in limits.items():
            if kind not in KINDS:
                raise errors.InvalidInput(f"There is no quota for {kind[:40]!r}; known: {', '.join(KINDS)}.")
            if isinstance(limit, bool) or not isinstance(limit, int) or not UNLIMITED <= limit <= MAX_LIMIT:
                raise errors.InvalidInput(f"The quota for {kind} must be a whole number from -1 (unlimited) on.")
        for kind, limit in limits.items():
            new = {"hard_limit": limit}
            upsert(self._connection, table, {**key, "kind": kind}, new=new, change=new)
