# SPDX-License-Identifier: Apache-2.0
"""What does Karbor expect of a place where objects lie?

Conditions a bank must keep (the conformance suite ``karbor.sdk.testing.bank_suite`` tries each of them):

1. *Write once.* ``put_if_absent`` makes an object that never changes again. Of several writers of one name exactly one
   is told True; all others are told False and the first content stays.
2. *All or nothing.* An object is either there with all its bytes, or not there at all, whatever crashes. No reader, no
   list and no ``stat`` ever sees a part of one.
3. *Durable.* When ``put_if_absent`` has returned, the object survives a power failure (as far as the medium can tell).
4. *Read after write.* An object that was put is found by ``get``, ``stat`` and ``list`` from then on, from any process.
5. *Ordered lists.* ``list`` returns names in byte order; together with ``after`` it visits each object once. What is
   put or deleted meanwhile may be missed or seen; of two objects of which the later sorts behind, and was put before
   the earlier was deleted, one is seen.
6. *Honest errors.* A missing object is ObjectNotFound; everything else that fails is BankUnavailable (BankFull where
   there is no room, ConfigurationError where this store can be no bank at all). A bank never answers "nothing here"
   when it could not look. A bank over a network tries again what failed in passing, by ``karbor.common.retrying`` and
   nothing else; a put that was tried again tells True where its own earlier try took effect.
7. *Threads.* All methods may be called from several threads at once.
8. *Kept until.* Only a bank with the capability ``object_lock``: once ``retain`` has returned, the object can neither
   be deleted nor be hidden by ``delete`` before that moment, and nothing that the service can call makes the moment an
   earlier one. Refusals are ObjectLocked, and change nothing. Where ``emulated_lock`` is declared, only the bank's own
   methods keep to that; whoever reaches the medium past them does not.

Contended names. Two writers of one name with different contents meet under few names of a vault: a record (and the
mark that it is void), the first key of a domain, and the identity of the bank. Which of them stays decides something,
so these are put by ``put_if_absent``. All other names are random, made from the content, belong to one writer, or it
does not matter which content stays; they are put by ``put_own``, for which a bank without an atomic put may do less.
A bank that has no way to keep condition 1 for ``put_if_absent`` refuses to be one, by ConfigurationError, before it
writes anything.

Names are ASCII letters, digits, ``. _ -`` and ``/`` between parts; no part is empty or begins with a dot (such names
are left to a bank's own temporary files); at most 512 characters. ``valid_name`` is the one check; a bank calls it
first in every method that takes a name. Callers never use a name beside one that continues it (``a`` and ``a/b``), so
that a directory can keep all of them.
"""

import abc
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from karbor.model import errors
from karbor.sdk.options import Options

_PART = r"[A-Za-z0-9_\-][A-Za-z0-9._\-]*"
_NAME = re.compile(rf"{_PART}(/{_PART})*\Z")
MAX_NAME = 512


def valid_name(name: str) -> str:
    """``name`` itself. Raises InvalidInput where it is not the name of an object (see the module text)."""
    if len(name) > MAX_NAME or not _NAME.match(name):
        raise errors.InvalidInput("Not an object name.", detail=repr(name[:80]))
    return name


@dataclass(frozen=True)
class ObjectInfo:
    """``modified`` is seconds since the epoch by the bank's own clock."""

    name: str
    size: int
    modified: float


@dataclass(frozen=True)
class Capabilities:
    """What a bank can do beyond the conditions. Nothing is assumed."""

    object_lock: bool = False  # condition 8
    emulated_lock: bool = False  # condition 8 is kept by the bank's own methods alone
    shared: bool = False  # several hosts reach the same objects
    list_lag: float = 0.0  # seconds until every list shows what was put or deleted; 0: condition 4 holds for lists too


class Bank(abc.ABC):
    """See the conditions at the top of this module. Made with its own ``Settings``; makes no call before it must."""

    class Settings(Options):
        """A bank without settings."""

    capabilities: Capabilities = Capabilities()

    def __init__(self, settings: Options) -> None:
        self.settings = settings

    @abc.abstractmethod
    def initialise(self) -> str:
        """Make an empty bank where there is none and return its identity (a uuid written into it once).

        May be called again: an existing bank is left as it is and its identity returned. This is the only method that
        makes a missing bank; all others fail with BankUnavailable on it.
        """

    @abc.abstractmethod
    def identity(self) -> str:
        """The identity that ``initialise`` wrote. Raises BankUnavailable where the bank is missing or unreadable."""

    @abc.abstractmethod
    def put_if_absent(self, name: str, data: bytes) -> bool:
        """Store ``data`` under ``name``. True if this call made the object, False if the name was taken."""

    def put_own(self, name: str, data: bytes) -> bool:
        """As ``put_if_absent``, for a name that no other writer puts with another content at the same time.

        May be cheaper where the store has no atomic put: of writers that meet here nonetheless, several may be told
        True. One that comes later is told False, and the first content stays.
        """
        return self.put_if_absent(name, data)

    def put_own_parts(self, name: str, parts: Sequence[bytes]) -> bool:
        """``put_own`` of all parts, one behind the other. A bank that need not join them saves memory and time."""
        return self.put_own(name, b"".join(parts))

    @abc.abstractmethod
    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """The bytes from ``offset``; fewer than ``length`` only at the end. Raises ObjectNotFound."""

    def get_into(self, name: str, into: memoryview, offset: int = 0) -> int:
        """Put the bytes from ``offset`` into ``into``, and say how many: fewer than it has only at the end.

        Where it raises, ``into`` holds anything. Raises ObjectNotFound. A bank that need not hold them elsewhere first
        saves memory and time.
        """
        data = self.get(name, offset, len(into))
        into[: len(data)] = data
        return len(data)

    @abc.abstractmethod
    def stat(self, name: str) -> ObjectInfo:
        """Size and time of one object. Raises ObjectNotFound."""

    @abc.abstractmethod
    def list(self, prefix: str = "", after: str = "", limit: int = 1000) -> Sequence[ObjectInfo]:
        """At most ``limit`` objects whose names begin with ``prefix`` and sort behind ``after``, in byte order.

        ``prefix`` is any beginning of a name, not only whole parts. Fewer than ``limit`` means the end was reached.
        """

    @abc.abstractmethod
    def delete(self, name: str) -> None:
        """Remove the object. Removing what is not there is no error."""

    def retain(self, name: str, until: datetime) -> None:
        """Keep the object until then (UTC), at least. May be called again: an earlier moment changes nothing.

        Raises ObjectNotFound; NotSupported where the bank has no ``object_lock``.
        """
        raise errors.NotSupported("This bank cannot lock objects.")

    def retained(self, name: str) -> datetime | None:
        """Until when the object is kept, also where that has passed; None: it never was to be. Raises ObjectNotFound
        where the bank has ``object_lock``."""
        return None

    def now(self) -> datetime | None:
        """What time it is by the bank's own clock; None where it has none that differs from the host's."""
        return None
