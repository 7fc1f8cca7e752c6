# SPDX-License-Identifier: Apache-2.0
"""Can a worker with a sealer file store everything, and read nothing but what it stored itself?"""

import pytest

from karbor.model import errors
from karbor.protection.cleaner import clean_bank
from karbor.sdk.streams import Kind
from karbor.vault.cleanup import Settings
from karbor.vault.keyring import domain_name_of
from karbor.vault.keys import MasterKey
from karbor.vault.sealing import Sealer
from karbor.vault.sealring import Sealers
from karbor.vault.wrapping import MasterKeys
from tests.support.vaults import KEY, BytesSource, content_of, memory_bank, nothing, open_vault, parts

PROJECT = "project"
FIRST = b"what was there before" * 9000
SECOND = FIRST[:100_000] + b"changed" + FIRST[100_007:]


class Site:
    """A bank with one point that a full worker made, and workers that only seal."""

    def __init__(self, root):
        self.root = root
        self.bank = memory_bank()
        self.opened = []
        self.full = self.vault(KEY)
        self.early = point(self.full.domain(PROJECT), "early", FIRST)
        (root / "seal").mkdir()
        self.full.sealer(PROJECT).save(root / "seal" / "project.seal")

    def vault(self, key):
        vault = open_vault(self.bank, self.root / f"cache{len(self.opened)}", key=key)
        self.opened.append(vault)
        return vault

    def sealing(self):
        return self.vault(Sealers(self.root / "seal"))


def point(domain, name, data, base=None):
    rest = [] if base is None else [(100_000, 4096)]
    extents = parts(len(data), rest, rest=Kind.SAME) if base else None
    info = domain.write_stream(BytesSource(data, extents), base_id=base, advance=nothing)
    domain.read_back([info], nothing)
    domain.put_record("checkpoint", name, {"version": 1, "streams": [info.id]})
    return info.id


@pytest.fixture
def site(tmp_path):
    found = Site(tmp_path)
    yield found
    for vault in found.opened:
        vault.close()


def test_what_it_stored_is_read_by_those_with_the_master_key(site):
    domain = site.sealing().domain(PROJECT)
    first = point(domain, "one", FIRST)
    second = point(domain, "two", SECOND, base=first)
    assert content_of(domain, second) == SECOND  # it still has its key
    for full in (site.full, site.vault(KEY)):
        for name, stream, data in (("one", first, FIRST), ("two", second, SECOND)):
            holder = full.holder(PROJECT, "checkpoint", name)
            assert holder.get_record("checkpoint", name)["streams"] == [stream]
            assert content_of(holder, stream) == data
            with holder.check("data") as run:
                assert run.stream(stream, nothing).lost == 0
        early = full.holder(PROJECT, "checkpoint", "early")
        assert early is full.domain(PROJECT)
        assert content_of(early, site.early) == FIRST


def test_it_reads_no_earlier_point_not_even_its_own_of_another_session(site):
    first = site.sealing()
    stored = point(first.domain(PROJECT), "one", FIRST)
    for vault in (site.sealing(), first):
        domain = vault.domain(PROJECT)
        assert not domain.has_stream(site.early)
        with pytest.raises(errors.ObjectNotFound):
            domain.open_stream(site.early)
        with pytest.raises(errors.ObjectNotFound):
            domain.get_record("checkpoint", "early")
    with pytest.raises(errors.ObjectNotFound):
        site.sealing().domain(PROJECT).open_stream(stored)
    with pytest.raises(errors.KeyUnavailable):
        first.named(site.full.keyring.domain_name(PROJECT))


def test_nothing_that_it_has_opens_what_others_stored(site):
    """The file, and what it put into the bank, against every wrapped key and every sealed object."""
    sealer = Sealer.load(site.root / "seal" / "project.seal")
    name = site.full.keyring.domain_name(PROJECT)
    wrapped = site.bank.objects[f"d/{name}/key/00000001"]
    for secret in (sealer.secret, sealer.public):
        assert MasterKey(secret).unwrap(f"d/{name}/key/", wrapped) is None
        assert domain_name_of(secret, PROJECT) != name


def test_it_needs_a_file_for_the_project_and_the_bank(site):
    with pytest.raises(errors.KeyUnavailable):
        site.sealing().domain("other").write_stream(BytesSource(b"x"), advance=nothing)
    with pytest.raises(errors.KeyUnavailable):
        open_vault(memory_bank(), site.root / "elsewhere", key=Sealers(site.root / "seal")).domain(
            PROJECT
        ).write_stream(BytesSource(b"x"), advance=nothing)
    sealing = site.sealing()
    for refused in (sealing.rotation, sealing.destruction, lambda: sealing.sealer(PROJECT)):
        with pytest.raises(errors.KeyUnavailable):
            refused()


def test_who_may_seal_for_one_project_cannot_pass_a_key_off_as_that_of_another(site):
    point(site.full.domain("victim"), "early", FIRST)
    sealer = Sealer.load(site.root / "seal" / "project.seal")
    name = site.full.keyring.domain_name("victim")
    place = f"d/{name}/key/"
    forged = sealer.seal(place, {"version": 1, "label": "victim", "key": "00" * 32, "created": ""})
    site.bank.objects[place + "00000002"] = forged
    stream = point(site.vault(KEY).domain("victim"), "late", SECOND)
    assert content_of(site.vault(KEY).domain("victim"), stream) == SECOND
    site.bank.objects[place + "00000001"] = forged
    with pytest.raises(errors.KarborError):
        site.vault(KEY).domain("victim").write_stream(BytesSource(b"x"), advance=nothing)


def test_who_has_the_public_key_alone_cannot_seal(site):
    sealer = Sealer.load(site.root / "seal" / "project.seal")
    guess = Sealer(sealer.bank, sealer.domain, sealer.label, sealer.public, bytes(32))
    place = f"d/{'ab' * 16}/key/"
    content = {"version": 1, "label": PROJECT, "key": "00" * 32, "created": ""}
    site.bank.objects[f"{place}00000001"] = guess.seal(place, content)
    site.bank.objects[f"d/{sealer.domain}/sealed/{'ab' * 16}"] = b""
    site.bank.objects[f"d/{'ab' * 16}/record/checkpoint/forged"] = b""
    with pytest.raises(errors.IntegrityError):
        site.full.holder(PROJECT, "checkpoint", "forged")


def test_a_new_master_key_opens_it_too(site):
    stream = point(site.sealing().domain(PROJECT), "one", FIRST)
    new = MasterKey(b"n" * 32)
    rotation = site.vault(MasterKeys(new, [KEY])).rotation()
    assert rotation.rotate()["counts"] | {"left": 0, "sealed": 1} == rotation.rotate()["counts"] | {
        "wrapped already": 0, "wrapped now": 2,
    }  # fmt: skip
    rotation.retire(KEY.id.hex())
    assert content_of(site.vault(new).holder(PROJECT, "checkpoint", "one"), stream) == FIRST


def test_it_ends_with_the_key_of_the_project(site):
    sealing = site.sealing()
    stream = point(sealing.domain(PROJECT), "one", FIRST)
    reader = site.full.holder(PROJECT, "checkpoint", "one").open_stream(stream)
    site.full.destruction().destroy(site.full.keyring.domain_name(PROJECT), PROJECT)
    assert sealing.forget_destroyed() == [PROJECT]
    assert len(site.full.forget_destroyed()) == 2
    for call in (
        lambda: reader.read(0, 1),
        lambda: site.vault(KEY).holder(PROJECT, "checkpoint", "one").open_stream(stream),
        lambda: sealing.domain(PROJECT).write_stream(BytesSource(b"x"), advance=nothing),
        lambda: site.sealing().domain(PROJECT).write_stream(BytesSource(b"x"), advance=nothing),
    ):
        with pytest.raises(errors.KeyDestroyed):
            call()

    class Provider:
        vault = site.full

    assert clean_bank(Provider, Settings(grace=0), pause=nothing)["entries"] == []
    assert sorted(name for name in site.bank.objects if name.startswith("d/")) == [
        f"d/{site.full.keyring.domain_name(PROJECT)}/key/destroyed"
    ]


def test_clean_up_of_what_it_stored_goes_on_as_ever(site):
    sealing = site.sealing()
    domain = sealing.domain(PROJECT)
    first = point(domain, "one", FIRST)
    second = point(domain, "two", SECOND, base=first)
    site.full.holder(PROJECT, "checkpoint", "one").delete_record("checkpoint", "one")

    class Provider:
        vault = site.full

    found = clean_bank(Provider, Settings(grace=0), pause=nothing)
    assert (found["entries"], found["counts"]["domains"]) == ([], 2)
    assert content_of(site.full.holder(PROJECT, "checkpoint", "two"), second) == SECOND
    third = point(domain, "three", FIRST, base=second)
    assert content_of(domain, third) == FIRST
