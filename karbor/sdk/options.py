# SPDX-License-Identifier: Apache-2.0
"""How does a plug-in declare its options once, so that schema, validation, settings and docs follow from it?

    class Protect(Options):
        quiesce: Literal["required", "try", "no"] = option("try", "Freeze the file systems of the guest first?")
        scratch_mib: int = option(1024, "Room for old blocks while the backup reads.", minimum=64, unit="MiB")

An option without a default is required. Values come from the REST API (JSON) or from a settings file (text); both are
checked by the same declaration. Instances are immutable.
"""

import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self

from karbor.model import errors
from karbor.schema.types import TOLD

if TYPE_CHECKING:
    from oslo_config import cfg

_MISSING = object()
_LARGEST = 10**300  # an integer of a request that is larger would not fit a float
_JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}


@dataclass(frozen=True)
class Option:
    """One declared option."""

    help: str
    default: Any = _MISSING
    minimum: int | None = None
    maximum: int | None = None
    unit: str = ""
    secret: bool = False
    told: bool = False  # in what is saved of a resource: shown to whoever may see the checkpoint
    multiple: bool = False
    section: str = ""  # of a settings file, where it is not that of the plug-in
    name: str = ""
    type: Any = str
    nullable: bool = False

    @property
    def required(self) -> bool:
        return self.default is _MISSING

    @property
    def choices(self) -> tuple[str, ...] | None:
        return typing.get_args(self.type) if typing.get_origin(self.type) is Literal else None

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of this option."""
        found: dict[str, Any] = {"type": "string" if self.choices else _JSON_TYPES[self.type]}
        found["description"] = f"{self.help} (in {self.unit})" if self.unit else self.help
        if self.choices:
            found["enum"] = list(self.choices)
        if self.minimum is not None:
            found["minimum"] = self.minimum
        if self.maximum is not None:
            found["maximum"] = self.maximum
        if not self.required and self.default is not None:
            found["default"] = self.default
        if self.told:
            found[TOLD] = True
        return found

    def accept(self, value: Any) -> Any:
        """``value`` if it is right for this option, with numbers and booleans given as text converted.

        Raises InvalidInput otherwise.
        """
        wanted: Any = str if self.choices else self.type
        if isinstance(value, str) and wanted is not str:
            value = self._from_text(value, wanted)
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value) if abs(value) < _LARGEST else math.inf
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            raise errors.InvalidInput(f"Option {self.name} must be of type {_JSON_TYPES[wanted]}.")
        if isinstance(value, float) and not math.isfinite(value):
            raise errors.InvalidInput(f"Option {self.name} must be a finite number.")
        if self.choices and value not in self.choices:
            raise errors.InvalidInput(f"Option {self.name} must be one of {', '.join(self.choices)}.")
        if self.minimum is not None and value < self.minimum:
            raise errors.InvalidInput(f"Option {self.name} must be at least {self.minimum}.")
        if self.maximum is not None and value > self.maximum:
            raise errors.InvalidInput(f"Option {self.name} must be at most {self.maximum}.")
        return value

    def _from_text(self, text: str, wanted: type) -> Any:
        if wanted is bool and text.lower() in ("true", "1", "yes", "false", "0", "no"):
            return text.lower() in ("true", "1", "yes")
        try:
            return wanted(text) if wanted is not bool else text
        except ValueError:
            return text


def option(
    default: Any = _MISSING,
    help: str = "",  # noqa: A002 - the word users of oslo.config know
    *,
    minimum: int | None = None,
    maximum: int | None = None,
    unit: str = "",
    secret: bool = False,
    told: bool = False,
    section: str = "",
) -> Any:
    """Declare an option. ``required()`` says that there is no default; ``section``, that it stands in that section of
    a settings file, whatever the plug-in. ``told``, of an option of ``Saved``: users see its value in the checkpoint,
    so it holds nothing but what they may know, and is short."""
    return Option(help, default, minimum, maximum, unit, secret, told, section=section)


def required(help: str, **rest: Any) -> Any:  # noqa: A002
    """Declare an option without a default."""
    return option(_MISSING, help, **rest)


class Options:
    """Base of every set of options. Subclass with annotated ``option(...)`` attributes; nothing else is needed."""

    declared: typing.ClassVar[dict[str, Option]] = {}

    def __init_subclass__(cls) -> None:
        hints = typing.get_type_hints(cls)
        declared = dict(cls.declared)
        for name, entry in list(vars(cls).items()):
            if isinstance(entry, Option):
                type_, nullable = _plain(hints[name])
                declared[name] = replace(entry, name=name, type=type_, nullable=nullable)
                delattr(cls, name)
        cls.declared = declared

    def __init__(self, /, **values: Any) -> None:
        unknown = sorted(set(values) - set(self.declared))
        if unknown:
            known = ", ".join(self.declared) or "none"
            raise errors.InvalidInput(f"Unknown option {unknown[0]!r}. Known options: {known}.")
        for name, entry in self.declared.items():
            value = values.get(name)
            if value is None:
                if entry.required:
                    raise errors.InvalidInput(f"Option {name} is required: {entry.help}")
                self.__dict__[name] = entry.default
            else:
                self.__dict__[name] = entry.accept(value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __repr__(self) -> str:
        shown = ", ".join(f"{k}={'***' if self.declared[k].secret else v!r}" for k, v in self.to_dict().items())
        return f"{type(self).__name__}({shown})"

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Check ``values`` and return the typed options. Raises InvalidInput naming the first wrong one."""
        return cls(**values)

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """JSON Schema of this set, in the form the provider API shows (no ``"default": null``)."""
        found: dict[str, Any] = {
            "title": cls.__qualname__,
            "type": "object",
            "properties": {name: entry.schema() for name, entry in cls.declared.items()},
            "additionalProperties": False,
        }
        wanted = [name for name, entry in cls.declared.items() if entry.required]
        return {**found, "required": wanted} if wanted else found

    @classmethod
    def cfg_opts(cls) -> "list[cfg.Opt]":
        """The same options as oslo.config options, for a section of a settings file."""
        return [_cfg_opt(name, entry) for name, entry in cls.declared.items()]

    @classmethod
    def cfg_sections(cls, own: str) -> "dict[str, list[cfg.Opt]]":
        """``cfg_opts`` by section of a settings file; ``own`` is the one of the plug-in."""
        found: dict[str, list[cfg.Opt]] = {}
        for name, entry in cls.declared.items():
            found.setdefault(entry.section or own, []).append(_cfg_opt(name, entry))
        return found

    def to_dict(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in self.declared}


def _plain(hint: Any) -> tuple[Any, bool]:
    """The type without None, and whether None was allowed."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        rest = [arg for arg in typing.get_args(hint) if arg is not type(None)]
        return rest[0], True
    return hint, False


def _cfg_opt(name: str, entry: Option) -> "cfg.Opt":
    from oslo_config import cfg  # a fifth of the start of a process, and one that moves data has no settings file

    text = f"{entry.help} (in {entry.unit})" if entry.unit else entry.help
    common: dict[str, Any] = {"help": text, "secret": entry.secret}
    if not entry.required:
        common["default"] = entry.default
    if entry.choices:
        return cfg.StrOpt(name, choices=list(entry.choices), **common)
    if entry.type is bool:
        return cfg.BoolOpt(name, **common)
    if entry.type is int:
        return cfg.IntOpt(name, min=entry.minimum, max=entry.maximum, **common)
    if entry.type is float:
        return cfg.FloatOpt(name, **common)
    return cfg.StrOpt(name, **common)
