# SPDX-License-Identifier: Apache-2.0
"""How is a noun of the API declared once, so that its request and response bodies follow from it?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from karbor.schema.types import LINKS, Schema, an_object, envelope

Presence = Literal["no", "optional", "required"]


@dataclass(frozen=True)
class Field:
    """One field: its shape, its meaning, and where it may be given by the user.

    ``shown`` is false where the answer never holds it.
    """

    schema: Schema
    text: str
    create: Presence = "no"
    update: Presence = "no"
    shown: bool = True

    @property
    def described(self) -> Schema:
        return {**self.schema, "description": self.text}


@dataclass(frozen=True)
class Noun:
    """A thing of the API. ``name`` is the envelope of one, ``collection`` of many."""

    name: str
    collection: str
    fields: Mapping[str, Field]

    @property
    def object(self) -> Schema:
        """One thing as it is shown."""
        shown = {name: field.described for name, field in self.fields.items() if field.shown}
        return {"title": self.name.title().replace("_", ""), **an_object(shown)}

    @property
    def show(self) -> Schema:
        """The answer with one thing."""
        return envelope(self.name, self.object)

    @property
    def list(self) -> Schema:
        """The answer with many things."""
        things = {"type": "array", "items": self.object, "description": "The things on this page, in order."}
        place = f"http://127.0.0.1:8799/v1/3c65d64bc6a64aa3a2ec1b4ec4e1ee0c/{self.collection}"
        links = {
            "type": "array",
            "items": LINKS["items"],
            "description": "Where the next page is; present when this page is full.",
            "examples": [[{"rel": "next", "href": f"{place}?limit=1&marker=0ec1ee2c-5a4b-4f45-9a9b-d9b6f8c2a8f5"}]],
        }
        return an_object(
            {self.collection: things, f"{self.collection}_links": links},
            required=(self.collection,),
        )

    @property
    def create(self) -> Schema:
        """The body that makes one."""
        return self._given("create")

    @property
    def update(self) -> Schema:
        """The body that changes one."""
        return self._given("update")

    def _given(self, when: Literal["create", "update"]) -> Schema:
        given = {name: field for name, field in self.fields.items() if getattr(field, when) != "no"}
        required = tuple(name for name, field in given.items() if getattr(field, when) == "required")
        body = an_object({name: field.described for name, field in given.items()}, required=required)
        body["x-read-only"] = sorted(set(self.fields) - set(given))
        return envelope(self.name, body)
