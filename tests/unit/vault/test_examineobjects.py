# SPDX-License-Identifier: Apache-2.0
"""Is the right object blamed, and none that did nothing?"""

import pytest

from karbor.model import errors
from karbor.sdk.testing.faults import FaultyBank
from karbor.vault.examineobjects import MISSING, UNLISTED, asked_twice
from tests.support.vaults import BytesSource, memory_bank, nothing, open_vault

TEXT = b"some content " * 1000


def only(bank, part):
    (name,) = [name for name in bank.objects if part in name]
    return name


@pytest.fixture
def info(domain):
    info = domain.write_stream(BytesSource(TEXT), advance=nothing)
    domain.read_back([info], nothing)
    return info


def flaws(domain, info):
    return {flaw.object: flaw.reason for flaw in domain.check_stream(info.id, "quick", nothing).flaws}


def test_a_marker_tells_which_index_object_is_gone(bank, domain, info):
    name = only(bank, "/index/")
    del bank.objects[name]
    assert flaws(domain, info) == {name: MISSING}


def test_a_pack_is_named_where_nothing_tells_of_its_index_object(bank, domain, info):
    for part in ("/index/", "/proven/"):
        del bank.objects[only(bank, part)]
    assert flaws(domain, info) == {only(bank, "/pack/"): UNLISTED}


def test_an_index_object_that_another_one_replaces_is_no_fault(bank, domain, info):
    """Clean-up writes a new one, removes the old one, and stops before it removes the marker."""
    with domain.check("quick") as run:
        directories = run.store.index_objects.get("index/" + only(bank, "/index/").rpartition("/")[2])
        old = only(bank, "/index/")
        name, _ = run.store.index_objects.put(directories)
        run.store.index_objects.prove(name)
    del bank.objects[old]
    assert flaws(domain, info) == {}


def test_asking_twice_tells_a_failing_object_from_a_failing_bank():
    faulty = FaultyBank(memory_bank())
    faulty.inner.objects["a"] = b"x"
    faulty.fail(1, method="get")
    assert asked_twice(faulty, lambda: faulty.get("a")) == b"x"
    faulty.fail(1, method="get", lasting=True)
    assert asked_twice(faulty, lambda: faulty.get("a")) is None
    faulty.fail(1, lasting=True)
    with pytest.raises(errors.BankUnavailable):
        asked_twice(faulty, lambda: faulty.get("a"))
    faulty.heal()
    with pytest.raises(errors.ObjectNotFound):
        asked_twice(faulty, lambda: faulty.get("b"))


def test_an_object_that_cannot_be_read_is_a_flaw_and_not_the_end(tmp_path):
    class BadIndex(FaultyBank):
        """Cannot read index objects."""

        broken = False

        def get(self, name, offset=0, length=None):
            if self.broken and "/index/" in name:
                raise errors.BankUnavailable(detail="Input/output error")
            return super().get(name, offset, length)

    bank = BadIndex(memory_bank())
    domain = open_vault(bank, tmp_path).domain("project")
    info = domain.write_stream(BytesSource(TEXT), advance=nothing)
    bank.broken = True
    report = domain.check_stream(info.id, "data", nothing)
    assert report.whole and [flaw.object for flaw in report.flaws] == [only(bank.inner, "/index/")]
