# SPDX-License-Identifier: Apache-2.0
"""Is everything that lies in a domain looked at, and what is no fault not called one?"""

from karbor.model import errors
from karbor.sdk.testing.faults import FaultyBank
from karbor.vault.checkrest import STRANGE, look_at_rest
from tests.support.vaults import KIB, BytesSource, nothing, open_vault

TEXT = b"some content " * 1000


def flaws(domain, level="data"):
    with domain.check(level) as run:
        look_at_rest(run, nothing)
        return {flaw.object: flaw.reason for flaw in run.flaws}


def test_what_a_write_left_behind_that_never_ended_is_no_flaw(bank, tmp_path):
    """The writer died between a pack and its index object."""
    faulty = FaultyBank(bank)
    domain = open_vault(faulty, tmp_path / "x").domain("project")
    domain.put_record("checkpoint", "1", {})
    faulty.fail(2, method="put_if_absent", lasting=True)
    try:
        domain.write_stream(BytesSource(TEXT), advance=nothing)
        raise AssertionError("the bank should have failed")
    except errors.BankUnavailable:
        faulty.heal()
    assert any("/pack/" in name for name in bank.objects) and not any("/index/" in name for name in bank.objects)
    assert flaws(domain) == {}


def test_a_damaged_leftover_is_told(bank, domain):
    info = domain.write_stream(BytesSource(TEXT), advance=nothing)
    domain.read_back([info], nothing)
    (name,) = [name for name in bank.objects if "/pack/" in name]
    bank.objects[name] = bank.objects[name][:50] + b"!" + bank.objects[name][51:]
    assert list(flaws(domain)) == [name]
    assert flaws(domain, "quick") == {}


def test_every_sealed_object_is_opened(bank, domain):
    info = domain.write_stream(BytesSource(TEXT), advance=nothing)
    domain.read_back([info], nothing)
    domain.put_record("checkpoint", "1", {})
    domain.put_record("checkpoint", "2", {})
    domain.delete_record("checkpoint", "2")
    for part in ("/index/", "/proven/", "/stream/", "/record/", "/gone/"):
        name = next(name for name in bank.objects if part in name)
        kept = bank.objects[name]
        bank.objects[name] = kept[:-1] + bytes([kept[-1] ^ 1])
        assert list(flaws(domain, "quick")) == [name]
        bank.objects[name] = kept


def test_an_object_of_no_known_kind_is_told(bank, domain):
    domain.put_record("checkpoint", "1", {})
    prefix = next(name for name in bank.objects if name.startswith("d/")).rpartition("/key/")[0]
    for name in ("strange/thing", "pack/ab/thing"):
        bank.put_if_absent(f"{prefix}/{name}", b"x" * KIB)
        assert flaws(domain, "quick") == {f"{prefix}/{name}": STRANGE}
        bank.delete(f"{prefix}/{name}")


def test_leases_and_locks_are_opened(bank, domain):
    domain.lease("job", fence=1, record=("checkpoint", "1"))
    domain.put_record("checkpoint", "2", {})
    domain.lock_record("checkpoint", "2", "hold", reason="case 4711")
    assert flaws(domain) == {}
    for part in ("/lease/", "/hold/"):
        (name,) = [name for name in bank.objects if part in name]
        whole, bank.objects[name] = bank.objects[name], bank.objects[name][:-1] + b"!"
        assert list(flaws(domain)) == [name]
        bank.objects[name] = whole


def test_what_was_looked_at_for_a_stream_is_not_read_again(bank, tmp_path):
    counted = FaultyBank(bank)
    domain = open_vault(counted, tmp_path / "x").domain("project")
    info = domain.write_stream(BytesSource(TEXT), advance=nothing)
    domain.read_back([info], nothing)
    with domain.check("data") as run:
        assert run.stream(info.id, nothing).whole
        counted.calls.clear()
        look_at_rest(run, nothing)
        assert counted.calls.count("get") <= 4  # the directory of the one pack, and the marker
