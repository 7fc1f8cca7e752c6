# SPDX-License-Identifier: Apache-2.0
"""Does the run over a store pass what keeps the conditions, name what is broken, and leave nothing behind?"""

from dataclasses import replace

import pytest

from karbor.common.clock import Clock
from karbor.model import errors
from karbor.sdk.testing.memory_bank import MemoryBank
from karbor.vault.conformance import Conformance

SMALL = 1 << 20


def broken(bank):
    found = list(Conformance(bank, bank, clock=Clock(), large=SMALL).run())
    assert len({finding.condition for finding in found}) == len(found) >= 14
    return {finding.condition: finding.said for finding in found if not finding.kept}


def test_a_clock_that_is_far_off_is_told():
    bank = MemoryBank()  # it counts puts instead
    bank.initialise()
    assert list(broken(bank)) == ["the clock of the store is that of this host"]


def test_a_bank_that_keeps_its_conditions_passes_and_is_as_it_was():
    bank = Timed()
    bank.initialise()
    bank.put_own("record/1", b"mine")
    before = dict(bank.objects)
    assert broken(bank) == {}
    assert bank.objects == before


class Timed(MemoryBank):
    """Tells the time of each object by the clock of this host."""

    def stat(self, name):
        return replace(super().stat(name), modified=Clock().now().timestamp())


class Overwriting(Timed):
    """Replaces what is there, as a store does that does not know conditional puts."""

    def put_own(self, name, data):
        self.delete(name)
        return super().put_own(name, data)

    def put_if_absent(self, name, data):
        self.delete(name)
        return super().put_if_absent(name, data)


class Folding(Timed):
    """Takes names as one that differ in case only, as some file systems do."""

    def put_own(self, name, data):
        return super().put_own(name.lower(), data)

    def get(self, name, offset=0, length=None):
        return super().get(name.lower(), offset, length)

    def delete(self, name):
        super().delete(name.lower())


class Shifting(Timed):
    """Reads ranges from one byte too far."""

    def get(self, name, offset=0, length=None):
        return super().get(name, offset + 1 if offset else 0, length)


class Lenient(Timed):
    """Says that a missing object is empty."""

    def get(self, name, offset=0, length=None):
        try:
            return super().get(name, offset, length)
        except errors.ObjectNotFound:
            return b""


@pytest.mark.parametrize(
    ("kind", "condition"),
    [
        (Overwriting, "the first content stays"),
        (Folding, "names keep their case and their length"),
        (Shifting, "any range can be read"),
        (Lenient, "a missing object is said to be missing"),
    ],
)
def test_what_is_broken_is_named(kind, condition):
    bank = kind()
    bank.initialise()
    found = broken(bank)
    assert found[condition]
    assert not bank.objects
