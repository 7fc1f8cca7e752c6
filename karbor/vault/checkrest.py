# SPDX-License-Identifier: Apache-2.0
"""What else lies in a domain, beside what streams need, and is it as it was written?"""

from collections.abc import Callable

from karbor.model import errors
from karbor.sdk.streams import Advance
from karbor.vault import format
from karbor.vault.check import Check
from karbor.vault.examineobjects import CLOSED

STRANGE = "no object of this format has such a name"
_SEALED = ("proven", "stream", "record", "gone", "lease", "gc", "damage", "hold")
_OTHERS = ("key", "sealed")  # keys are looked at when a run begins


def look_at_rest(check: Check, advance: Advance) -> None:
    """Look at all objects of the domain that the run did not meet, and add a flaw for each that is not right.

    Leftovers of writes that never ended are no flaws. ``advance`` is told the stored bytes that were proven.
    """
    looks: dict[str, Callable[[Check, str, Advance], None]] = dict.fromkeys(_SEALED, _sealed)
    looks |= {"pack": _pack, "index": _index} | dict.fromkeys(_OTHERS, _nothing)
    with check.turn(advance):
        for name in check.store.index_objects.names(""):
            look = looks.get(name.partition("/")[0])
            if look is None:
                check.examiner.objects.flaw(name, STRANGE)
            else:
                look(check, name, advance)


def _sealed(check: Check, name: str, advance: Advance) -> None:
    advance(0)
    if not check.state.saw_object(name):
        return
    try:
        check.store.codec.open_object(name, check.store.bank.get(check.store.prefix + name))
    except errors.ObjectNotFound:
        return  # deleted since it was listed
    except errors.IntegrityError:
        check.examiner.objects.flaw(name, CLOSED)


def _index(check: Check, name: str, advance: Advance) -> None:
    advance(0)
    check.examiner.objects.look_at_index(name)


def _pack(check: Check, name: str, advance: Advance) -> None:
    try:
        pack_id = format.pack_id_of(name)
    except errors.IntegrityError:
        check.examiner.objects.flaw(name, STRANGE)
        return
    check.examiner.rest_of_pack(pack_id, advance)


def _nothing(check: Check, name: str, advance: Advance) -> None:
    """Not looked at here."""
