# SPDX-License-Identifier: Apache-2.0
"""Does the Swift bank keep the conditions of a bank, over a twin that is as weak as Swift, and on a bad day?

tests/system/test_object_stores.py asks the real one.
"""

import threading

import pytest

from karbor.model import errors
from karbor.sdk.testing.bank_suite import BankSuite
from tests.support.httptwin import certified, httptwin
from tests.support.stores import again, swift_bank, with_settings
from tests.support.swift_twin import SwiftTwin

SECONDS = 60


@pytest.fixture(scope="module")
def twin():
    """The answers, and the server that gives them."""
    answers = SwiftTwin()
    with httptwin(answers) as server:
        yield answers, server


class TestSwiftBank(BankSuite):
    races = 1

    @pytest.fixture(autouse=True)
    def _server(self, twin):
        self.url = twin[1].url

    def make_bank(self):
        return swift_bank(self.url)

    def contended(self, bank):
        return with_settings(bank, bank_swift_settle=2.0)

    def again(self, bank):
        return again(bank)


@pytest.fixture
def store(twin):
    answers, server = twin
    server.heal()
    yield answers
    server.heal()
    answers.between = lambda _request: None


@pytest.fixture
def front(twin):
    return twin[1]


@pytest.fixture
def bank(store, front):
    bank = swift_bank(front.url)
    bank.initialise()
    return bank


@pytest.mark.parametrize("kind", ["status", "lost", "truncated", "closed"])
def test_every_call_survives_faults_that_pass(front, bank, kind):
    content = bytes(range(256)) * 100
    for name, put in (("a", bank.put_if_absent), ("b", bank.put_own)):
        front.fail(kind, times=2)
        assert put(name, content) is True
        assert put(name, b"other") is False
    for call, answer in (
        (lambda: bank.get("a"), content),
        (lambda: bank.get("a", 10, 20), content[10:30]),
        (lambda: bank.stat("a").size, len(content)),
        (lambda: [info.name for info in bank.list()], ["a", "b"]),
        (bank.identity, again(bank).identity()),
        (lambda: bank.delete("a"), None),
    ):
        front.fail(kind, times=2)
        assert call() == answer
        front.heal()


@pytest.mark.parametrize("status", [408, 409, 422, 429, 498, 500, 502, 503, 504])
def test_answers_that_pass(front, bank, status):
    front.fail("status", method="DELETE", status=status, headers={"Retry-After": "1"} if status == 498 else {})
    bank.delete("a")
    assert front.count("DELETE", bank.settings.bank_swift_object_container) == 2


def test_a_put_whose_answer_was_lost_knows_its_own_object(front, bank):
    front.fail("lost", method="PUT", part="/mine")
    assert bank.put_if_absent("mine", b"1") is True
    again(bank).put_own("theirs", b"1")
    front.fail("status", method="PUT", part="/theirs")
    assert bank.put_if_absent("theirs", b"1") is False  # the same bytes, of somebody else


def test_a_list_that_is_late_is_declared(front, bank):
    assert bank.list("x/") == []
    bank.put_own("x/a", b"1")
    front.fail("stale", method="GET", part="prefix=x")
    assert bank.list("x/") == []
    assert [info.name for info in bank.list("x/")] == ["x/a"]
    assert with_settings(bank, bank_swift_list_lag=600.0).capabilities.list_lag == 600


def test_it_tells_the_time_by_the_clock_of_the_service(bank):
    bank.put_own("a", b"1")
    assert abs(bank.now().timestamp() - bank.stat("a").modified) < 3600


def test_a_token_that_ended_is_renewed_once(store, bank):
    store.tokens.clear()
    assert bank.put_own("a", b"1") is True
    assert bank.get("a") == b"1"


def test_tokens_that_are_never_taken_are_an_error_at_once(front, bank):
    front.fail("status", part="/v1/", times=99, status=401)
    before = len(front.requests)
    with pytest.raises(errors.BankUnavailable, match="refuses") as caught:
        bank.get("a")
    assert caught.value.next_action
    assert len(front.requests) - before == 3  # with the token, a login, with the new token


def test_a_wrong_password_is_said_with_the_next_action(front):
    bank = swift_bank(front.url, swift_key="wrong")
    with pytest.raises(errors.BankUnavailable, match="refuses") as caught:
        bank.initialise()
    assert "[swift_client]" in caught.value.next_action
    assert "wrong" not in caught.value.operator_text()


@pytest.mark.parametrize("status", [413, 507])
def test_no_room_is_said_at_once(front, bank, status):
    front.fail("status", method="PUT", part="/full", times=9, status=status)
    with pytest.raises(errors.BankFull) as caught:
        bank.put_own("full", b"1")
    assert "quota" in caught.value.next_action
    assert front.count("PUT", "/full") == 1 or status == 507


def test_a_service_that_does_not_answer_is_not_waited_for_for_ever(front, bank):
    bank = with_settings(bank, swift_timeout=4, swift_retry_attempts=1)
    bank.identity()
    front.fail("hang", part="/v1/")
    with pytest.raises(errors.BankUnavailable):
        bank.get("a")


def test_a_missing_object_is_missing_only_where_the_bank_is_there(store, bank):
    container = store.containers[bank.settings.bank_swift_object_container]
    with pytest.raises(errors.ObjectNotFound):
        bank.get("a")
    container.clear()
    with pytest.raises(errors.BankUnavailable, match="missing"):
        bank.get("a")


class Overlap:
    """Lets the put of ``late`` go on inside the store only when another one is there."""

    def __init__(self, store, container, name, late):
        self.inside = threading.Event()
        self.there = lambda: name in store.containers[container]
        self.late = late

    def __call__(self, request):
        if request.body == self.late:
            self.inside.set()
            deadline = threading.Event()
            for _ in range(SECONDS * 100):
                if self.there():
                    return
                deadline.wait(0.01)


def overlapping(store, bank):
    """Two puts of one name: the late one passed the look at the name before the early one was there."""
    store.between = overlap = Overlap(store, bank.settings.bank_swift_object_container, "one/name", b"late")
    told = {}
    late = threading.Thread(target=lambda: told.update(late=again(bank).put_if_absent("one/name", b"late")))
    late.start()
    assert overlap.inside.wait(SECONDS)
    told["early"] = bank.put_if_absent("one/name", b"early")
    seen = bank.get("one/name")
    late.join(SECONDS)
    return told, seen


def test_of_puts_that_overlap_one_is_told_that_it_won_and_readers_see_it(store, bank):
    told, seen = overlapping(store, with_settings(bank, bank_swift_settle=3.0))
    assert told == {"early": False, "late": True}
    assert seen == b"late"


def test_a_reader_does_not_believe_a_young_object(store, bank):
    """It looked between the two puts, and must not go on with what is replaced."""
    slow = with_settings(bank, bank_swift_settle=3.0)
    store.between = overlap = Overlap(store, bank.settings.bank_swift_object_container, "one/name", b"late")
    late = threading.Thread(target=lambda: slow.put_if_absent("one/name", b"late"))
    late.start()
    assert overlap.inside.wait(SECONDS)
    early = threading.Thread(target=lambda: again(slow).put_if_absent("one/name", b"early"))
    early.start()
    seen = None
    while seen is None:
        try:
            seen = again(slow).get("one/name")
        except errors.ObjectNotFound:
            continue
    late.join(SECONDS)
    early.join(SECONDS)
    assert seen == b"late"


def test_over_tls_a_service_is_known_by_its_certificate(tmp_path):
    context, known = certified(tmp_path)
    with httptwin(SwiftTwin(secure=True), context=context) as twin:
        bank = swift_bank(twin.url, swift_ca_cert_file=str(known))
        bank.initialise()
        assert bank.put_own("a", b"1" * 100_000) is True
        assert bank.get("a") == b"1" * 100_000
        with pytest.raises(errors.BankUnavailable) as caught:
            with_settings(bank, swift_ca_cert_file="").identity()
        assert "swift_ca_cert_file" in caught.value.next_action
