# SPDX-License-Identifier: Apache-2.0
"""What stands in for what, where a checkpoint comes back in another project or another cloud?

The user writes it as one of the parameters of a restore: for each kind of thing what to use now in the place of what
was there then. What was there then is named by its id or its name, what is here now too, and ``*`` stands for all of a
kind that is not named:

    "OS::Karbor::Mapping": {
        "flavor": {"m1.small": "s1"},
        "network": {"public": "internet", "9f3c...": "inner"},
        "volume_type": {"*": "standard"},
        "names": {"*": "recovered-*"}
    }
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from karbor.model import errors
from karbor.model.mapping import ANY, KINDS, MAPPING_TYPE, MAY_BE_EMPTY, NAMES

if TYPE_CHECKING:
    from karbor.sdk.protection import Work

#: Kind -> id of something old -> its name: by which other word a mapping may call it.
OldNames = Mapping[str, Mapping[str, str]]
_MOST = 1000  # entries of one kind
_LONGEST = 255


@dataclass(frozen=True)
class WorldMap:
    """A mapping as the user wrote it: kind -> old id or name -> new id or name."""

    entries: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Check what the user wrote. Raises InvalidInput naming the first thing that is wrong."""
        for kind, entries in values.items():
            if kind not in KINDS:
                raise errors.InvalidInput(
                    f"{MAPPING_TYPE} knows no {kind[:80]!r}. It knows {', '.join(KINDS)}.",
                )
            if not isinstance(entries, Mapping):
                raise errors.InvalidInput(f'{MAPPING_TYPE}: {kind} must be an object such as {{"old": "new"}}.')
            if len(entries) > _MOST:
                raise errors.InvalidInput(f"{MAPPING_TYPE}: {kind} has more than {_MOST} entries.")
            for old, new in entries.items():
                _check_entry(kind, old, new)
        return cls({kind: dict(entries) for kind, entries in values.items()})

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """JSON Schema, in the form the provider API shows beside the options of the resource types."""
        return {
            "title": "Mapping",
            "type": "object",
            "properties": {kind: _kind_schema(kind, text) for kind, text in KINDS.items()},
            "additionalProperties": False,
        }

    def find(self, kind: str, value: str, name: str = "") -> tuple[str, str] | None:
        """The entry (old, new) for something old with this id and name; None where nothing is said of it.

        Something that was not there (an empty ``value``) has no entry, not even that for all.
        """
        known = self.entries.get(kind) or {}
        if not value:
            return None
        for old in (value, name, ANY):
            if old and old in known:
                return old, known[old]
        return None

    def __bool__(self) -> bool:
        return any(self.entries.values())


def new_name(work: "Work", old: str, otherwise: str) -> str:
    """The name that the mapping gives to what had the name ``old``, and ``otherwise`` where it gives none."""
    name = work.mapped(NAMES, old)
    return name if name != old else otherwise


def renamed(old: str, pattern: str) -> str:
    """The new name that an entry of ``names`` makes of an old one, not longer than names may be."""
    return pattern.replace(ANY, old)[:_LONGEST]


def _check_entry(kind: str, old: Any, new: Any) -> None:
    if not old or len(old) > _LONGEST:
        raise errors.InvalidInput(f"{MAPPING_TYPE}: what {kind} maps must be named in 1 to {_LONGEST} characters.")
    if not isinstance(new, str) or len(new) > _LONGEST:
        raise errors.InvalidInput(
            f"{MAPPING_TYPE}: {kind} maps {old[:80]!r} to something that is no text of at most {_LONGEST} characters."
        )
    if not new.strip() and kind not in MAY_BE_EMPTY:
        raise errors.InvalidInput(f"{MAPPING_TYPE}: {kind} maps {old[:80]!r} to nothing.")


def _kind_schema(kind: str, text: str) -> dict[str, Any]:
    least = 0 if kind in MAY_BE_EMPTY else 1
    return {
        "type": "object",
        "description": text,
        "propertyNames": {"minLength": 1, "maxLength": _LONGEST},
        "additionalProperties": {"type": "string", "minLength": least, "maxLength": _LONGEST},
        "maxProperties": _MOST,
    }
