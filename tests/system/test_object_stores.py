# SPDX-License-Identifier: Apache-2.0
"""Do banks in a real Swift keep their conditions, and does the whole service work on Swift and on S3?

Installs and starts Swift and an S3 service by itself. Swift's own S3 door has no conditional writes and is refused.
"""

from pathlib import Path

import pytest

from karbor.model import errors
from karbor.protection.bankcheck import BankCheck
from karbor.protection.cleaner import clean_bank
from karbor.sdk.testing.bank_suite import BankSuite
from karbor.vault.cleanup import Settings
from karbor.vault.probe import probe_bank
from tests.functional.test_operations import PROVIDER, TYPE, House
from tests.functional.test_verify import VerifyHouse
from tests.support import moto as s3
from tests.support import swift
from tests.support.httptwin import forward, httptwin
from tests.support.stores import again, s3_bank, swift_bank, with_settings

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def store():
    before = _host()
    with swift.swift() as found:
        yield found
    assert _host() == before


@pytest.fixture(scope="module")
def moto():
    with s3.moto() as server:
        yield server


def _host():
    """What belongs to the Debian packages of Swift, when they are there."""
    place = Path("/etc/swift")
    if not (place / "swift.conf").exists():
        swift.servers.install(*swift._PACKAGES, having=lambda: bool(swift._programs()))
    return {path.name: path.lstat().st_mtime_ns for path in place.iterdir()}


class TestSwift(BankSuite):
    races = 1

    @pytest.fixture(autouse=True)
    def _server(self, store):
        self.url = store.url

    def make_bank(self):
        return swift_bank(self.url)

    def contended(self, bank):
        return with_settings(bank, bank_swift_settle=4.0)

    def again(self, bank):
        return again(bank)


def test_swift_keeps_going_when_tokens_and_proxies_go_away(store):
    bank = swift_bank(store.url, swift_retry_attempts=2)
    bank.initialise()
    bank.put_own("a", b"1")
    store.memory.stop()
    store.memory.start()
    assert bank.get("a") == b"1"
    store.proxy.stop()
    try:
        with pytest.raises(errors.BankUnavailable) as caught:
            bank.get("a")
    finally:
        store.proxy.start()
    assert "Swift" in caught.value.next_action
    assert bank.get("a") == b"1"


@pytest.mark.parametrize("kind", ["status", "lost", "truncated", "closed"])
def test_requests_to_swift_survive_faults_on_the_way(store, kind):
    content = bytes(range(256)) * 100
    with httptwin(forward(store.proxy.port)) as twin:
        bank = swift_bank(twin.url)
        bank.initialise()
        for call, answer in (
            (lambda: bank.put_if_absent("a", content), True),
            (lambda: bank.put_own("b", content), True),
            (lambda: bank.get("a", 10, 20), content[10:30]),
            (lambda: bank.stat("a").size, len(content)),
            (lambda: [info.name for info in bank.list()], ["a", "b"]),
            (lambda: bank.delete("a"), None),
        ):
            twin.fail(kind, times=2)
            assert call() == answer
            twin.heal()


def test_a_full_container_is_a_full_bank(store):
    bank = swift_bank(store.url)
    bank.initialise()
    quota = {"X-Container-Meta-Quota-Bytes": "1000"}
    bank._door.send("POST", headers=quota)
    with pytest.raises(errors.BankFull) as caught:
        bank.put_own("large", b"x" * 2000)
    assert "quota" in caught.value.next_action


def test_the_s3_door_of_swift_is_refused_because_it_has_no_conditional_writes(store):
    bank = s3_bank(store.url, user=swift.USER, key=swift.KEY)
    with pytest.raises(errors.ConfigurationError, match="conditional"):
        bank.initialise()
    assert bank._page("", "", 10) == []
    stranger = s3_bank(store.url, user=swift.USER, key="wrong")
    with pytest.raises(errors.BankUnavailable, match="refuses") as caught:
        stranger.initialise()
    assert "keys" in caught.value.next_action


class StoreHouse(VerifyHouse):
    """Two files, protected into a bank that is not of this host."""

    def __init__(self, root, bank):
        House.__init__(self, root, bank=bank)
        (self.files / "two").write_bytes(bytes(range(256)) * 300)

    def check(self, level):
        provider = self._parts.providers.get(PROVIDER)
        return BankCheck(self.database, provider, level=level, advance=lambda _: None).run()

    def clean(self):
        provider = self._parts.providers.get(PROVIDER)
        return clean_bank(provider, Settings(grace=0), pause=lambda _: None)["counts"]


@pytest.mark.parametrize("kind", ["s3", "swift"])
def test_protect_verify_restore_check_and_clean_up(kind, request, tmp_path):
    url = request.getfixturevalue({"s3": "moto", "swift": "store"}[kind]).url
    bank = s3_bank(url) if kind == "s3" else swift_bank(url, bank_swift_settle=0.2)
    house = StoreHouse(tmp_path, bank)
    try:
        kept = house.protect()
        (house.files / "one").write_bytes(b"other" * 90_000)
        gone = house.protect()
        assert (kept.status, gone.status) == ("available", "available")
        assert house.verify(kept.id, {TYPE: {"level": "data"}}).status == "success"
        house.ask("delete", checkpoint_id=gone.id)
        assert house.clean()["packs_deleted"] > 0
        assert house.restore(kept.id, {TYPE: {"restore_name": "again"}}).status == "success"
        found = house.check("data")
        assert found["sound"], found["entries"]
        assert all(not condition.reason for condition in probe_bank(again(bank)))
        assert [info.name for info in bank.list("probe/")] == []
    finally:
        house.close()
