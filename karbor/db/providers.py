# SPDX-License-Identifier: Apache-2.0
"""How is kept what workers say of their providers?"""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from karbor.db.query import Listing, capped, equal
from karbor.db.repository import Repository
from karbor.db.tables import PROVIDERS
from karbor.model import errors
from karbor.model.page import Page, PageRequest
from karbor.model.provider import ProviderInfo

_C = PROVIDERS.c


class Providers(Repository):
    """The providers. They belong to no project."""

    noun = "provider"
    table = PROVIDERS
    LISTING = Listing(
        PROVIDERS,
        keys={"id": _C.id, "name": _C.name},
        filters={"name": equal(_C.name), "description": equal(_C.description)},
        default=(("id", "asc"),),
    )

    def put(self, info: ProviderInfo) -> None:
        """Describe the provider, anew or again. The time of its first description and its bank's identity stay."""
        flags = {"acts_in_cloud": int(info.acts_in_cloud)}
        values = asdict(info) | flags | {"schemas": {name: dict(types) for name, types in info.schemas.items()}}
        now = self._clock.now()
        changed = {name: value for name, value in values.items() if name not in ("id", "created_at")} | {
            "updated_at": now
        }
        if self._update(info.id, **changed):
            return
        try:
            self._insert(**values | {"created_at": info.created_at or now, "updated_at": None})
        except errors.Conflict:  # another worker was quicker
            self._update(info.id, **changed)

    def get(self, id: str) -> ProviderInfo:
        """Raises NotFound."""
        return _info(self._row(id))

    def list(self, request: PageRequest) -> Page[ProviderInfo]:
        """A page of providers; by id where the request names no order."""
        rows = self.LISTING.fetch(self._connection, request, {})
        return Page(tuple(map(_info, rows)), len(rows) >= capped(request))

    def set_available(self, id: str, *, available: bool, reason: str) -> None:
        """Note whether the bank could be used just now, and why not. Raises NotFound."""
        if not self._update(id, available=available, reason=reason, updated_at=self._clock.now()):
            raise errors.NotFound(f"The provider {id} could not be found.")

    def any_acts_in_cloud(self, ids: Iterable[str]) -> bool:
        """Whether a plug-in of any of these providers asks services of a cloud; those that are not there do not."""
        query = sa.select(_C.id).where(_C.id.in_(list(ids)), _C.acts_in_cloud == 1).limit(1)
        return self._connection.execute(query).first() is not None

    def bank_identity(self, id: str) -> str | None:
        """Which bank the provider used when it was first seen; None where none was seen yet."""
        return self._connection.execute(sa.select(_C.bank_identity).where(_C.id == id)).scalar()

    def set_bank_identity(self, id: str, identity: str) -> None:
        """Raises NotFound."""
        if not self._update(id, bank_identity=identity):
            raise errors.NotFound(f"The provider {id} could not be found.")


def _info(row: Row[Any]) -> ProviderInfo:
    values = {name: value for name, value in row._mapping.items() if name != "bank_identity"}
    return ProviderInfo(**values | {"acts_in_cloud": bool(row.acts_in_cloud)})
