# SPDX-License-Identifier: Apache-2.0
"""Does the S3 bank keep the conditions of a bank, also on a bad day, and refuse a store that lies?"""

from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from karbor.model import errors
from karbor.sdk.bank import Capabilities
from karbor.sdk.testing.bank_suite import BankSuite
from karbor.sdk.testing.lock_suite import LockSuite
from tests.support.httptwin import Reply, certified, forward, httptwin
from tests.support.stores import again, s3_bank, with_settings


class TestS3Bank(BankSuite):
    @pytest.fixture(autouse=True)
    def _server(self, moto):
        self.url = moto.url

    def make_bank(self):
        return s3_bank(self.url, bank_s3_part_size=5)  # the large object of the suite is sent in parts

    def again(self, bank):
        return again(bank)


class TestS3BankThatLocks(LockSuite):
    @pytest.fixture(autouse=True)
    def _server(self, moto):
        self.url = moto.url

    def make_bank(self):
        return s3_bank(self.url, bank_s3_object_lock=True)

    def again(self, bank):
        return again(bank)

    def test_what_is_deleted_leaves_no_version_and_no_mark(self, keeping):
        keeping.put_own("a", b"1")
        keeping.delete("a")
        keeping.delete("a")
        found = keeping._client.list_object_versions(Bucket=keeping.settings.bank_s3_object_bucket, Prefix="a")
        assert not found.get("Versions") and not found.get("DeleteMarkers")

    def test_what_others_hid_is_found_and_shown_again(self, keeping):
        bucket = keeping.settings.bank_s3_object_bucket
        for name in ("d/a", "d/b"):
            keeping.put_own(name, b"1")
            keeping.retain(name, datetime.now(UTC) + timedelta(days=1))
            keeping._client.delete_object(Bucket=bucket, Key=name)
        assert keeping.stat("d/a").size == 1  # moto tells of the mark where it is asked by HEAD only, S3 always does
        assert keeping.get("d/a") == b"1"
        assert [info.name for info in keeping.list()] == ["d/a"]
        again(keeping).initialise()
        assert [info.name for info in keeping.list()] == ["d/a", "d/b"]

    def test_the_service_itself_keeps_an_object_from_whoever_has_its_keys(self, keeping):
        bucket, name = keeping.settings.bank_s3_object_bucket, "d/a"
        keeping.put_own(name, b"1")
        keeping.retain(name, datetime.now(UTC) + timedelta(days=1))
        version = keeping._client.head_object(Bucket=bucket, Key=name)["VersionId"]
        for more in ({}, {"BypassGovernanceRetention": True}):
            with pytest.raises(ClientError, match="AccessDenied"):
                keeping._client.delete_object(Bucket=bucket, Key=name, VersionId=version, **more)
        assert keeping.get(name) == b"1"


@pytest.fixture(scope="module")
def front(moto):
    """A server that fails on command, before the real one."""
    with httptwin(forward(moto.port)) as twin:
        yield twin


@pytest.fixture
def bank(front):
    front.heal()
    bank = s3_bank(front.url)
    bank.initialise()
    yield bank
    front.heal()


SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


@pytest.mark.parametrize("kind", ["status", "lost", "truncated", "closed"])
def test_every_call_survives_faults_that_pass(front, bank, kind):
    content = bytes(range(256)) * 100
    for name, put in (("a", bank.put_if_absent), ("b", bank.put_own)):
        front.fail(kind, times=2, body=SLOW_DOWN)
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
        front.fail(kind, times=2, body=SLOW_DOWN)
        assert call() == answer
        front.heal()


def test_a_put_whose_answer_was_lost_knows_its_own_object(front, bank):
    front.fail("lost", method="PUT", part="/mine")
    assert bank.put_if_absent("mine", b"1") is True
    again(bank).put_own("theirs", b"1")
    front.fail("status", method="PUT", part="/theirs", body=SLOW_DOWN)
    assert bank.put_if_absent("theirs", b"1") is False  # the same bytes, of somebody else


def test_an_object_in_parts_whose_last_answer_was_lost_is_known_too(front, bank):
    bank = s3_bank(front.url, bank.settings.bank_s3_object_bucket, bank_s3_part_size=5)
    content = bytes(range(256)) * 24_000
    front.fail("lost", method="POST", part="uploadId")
    assert bank.put_own("parts", content) is True
    assert bank.get("parts") == content


def test_tries_come_to_an_end_and_the_error_says_what_to_do(front, bank):
    front.fail("status", times=99, body=SLOW_DOWN)
    before = len(front.requests)
    with pytest.raises(errors.BankUnavailable) as caught:
        bank.get("a")
    assert "SlowDown" in caught.value.detail and caught.value.next_action
    assert len(front.requests) - before == 5


def test_a_service_that_does_not_answer_is_not_waited_for_for_ever(front, bank):
    bank = s3_bank(front.url, bank.settings.bank_s3_object_bucket, s3_timeout=1, s3_retry_attempts=2)
    front.fail("hang", times=2)
    with pytest.raises(errors.BankUnavailable):
        bank.identity()


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (507, "InsufficientStorage", errors.BankFull),
        (403, "QuotaExceeded", errors.BankFull),
        (403, "AccessDenied", errors.BankUnavailable),
        (403, "RequestTimeTooSkewed", errors.BankUnavailable),
        (404, "NoSuchBucket", errors.BankUnavailable),
    ],
)
def test_what_does_not_pass_is_said_at_once_with_the_next_action(front, bank, status, code, expected):
    front.fail("status", method="PUT", times=9, status=status, body=f"<Error><Code>{code}</Code></Error>".encode())
    with pytest.raises(expected) as caught:
        bank.put_own("full/one", b"1")
    assert code in caught.value.detail and caught.value.next_action
    assert front.count("PUT", "full/one") <= 1 + sum("full/one" in path for _, path in front.requests[:-1])
    assert type(caught.value) is expected


def test_a_store_that_ignores_conditions_is_refused_before_anything_is_written(moto):
    """It answers 200 and overwrites, as some do."""
    real, written = forward(moto.port), []

    def lying(request):
        headers = {name: value for name, value in request.headers.items() if name.lower() != "if-none-match"}
        if request.method == "PUT":
            written.append(request.path)
        return real(type(request)(request.method, request.path, headers, request.body))

    with httptwin(lying) as twin:
        bank = s3_bank(twin.url)
        with pytest.raises(errors.ConfigurationError, match="conditional") as caught:
            bank.initialise()
    assert "another kind of bank" in caught.value.next_action
    assert all("probe" in path or path.count("/") == 1 for path in written)


@pytest.mark.parametrize("times", [1, 2])
def test_a_store_is_not_refused_because_an_answer_was_lost(moto, times):
    with httptwin(forward(moto.port)) as twin:
        twin.fail("lost", method="PUT", part="probe", times=times)
        assert s3_bank(twin.url).initialise()


def test_a_store_that_does_not_know_conditions_is_refused(moto):
    with httptwin(forward(moto.port)) as twin:
        twin.fail("status", method="PUT", part="probe", status=501, body=b"<Error><Code>NotImplemented</Code></Error>")
        with pytest.raises(errors.ConfigurationError, match="conditional"):
            s3_bank(twin.url).initialise()


def test_an_empty_bucket_in_the_place_of_the_bank_is_noticed(moto):
    bank = s3_bank(moto.url)
    bank.initialise()
    bank.put_own("a", b"1")
    bank._client.delete_object(Bucket=bank.settings.bank_s3_object_bucket, Key=".karbor-bank")
    for call in (lambda: bank.get("b"), lambda: bank.stat("b"), lambda: again(bank).put_own("c", b"")):
        with pytest.raises(errors.BankUnavailable, match="missing"):
            call()
    with pytest.raises(errors.BankUnavailable, match="lost its identity"):
        again(bank).initialise()


def test_object_lock_is_declared_only_where_a_lock_was_asked_for_and_found(moto):
    locking = s3_bank(moto.url, bank_s3_object_lock=True)
    locking.initialise()
    assert locking.capabilities == Capabilities(shared=True, object_lock=True)
    plain = s3_bank(moto.url)
    plain.initialise()
    assert plain.capabilities == Capabilities(shared=True)
    with pytest.raises(errors.ConfigurationError, match="object lock"):
        s3_bank(moto.url, plain.settings.bank_s3_object_bucket, bank_s3_object_lock=True).initialise()


def test_a_store_that_takes_a_lock_and_forgets_it_is_refused(moto):
    real = forward(moto.port)

    def forgetful(request):
        answer = real(request)
        kept = {name: value for name, value in answer.headers.items() if "object-lock" not in name.lower()}
        return Reply(answer.status, kept, answer.body)

    with httptwin(forgetful) as twin:
        with pytest.raises(errors.ConfigurationError, match="object lock"):
            s3_bank(twin.url, bank_s3_object_lock=True).initialise()


def test_a_list_tells_when_an_object_was_put_by_the_clock_of_the_service(moto):
    bank = s3_bank(moto.url)
    bank.initialise()
    bank.put_own("a", b"1")
    assert abs(bank.list()[0].modified - datetime.now(UTC).timestamp()) < 3600
    assert bank.stat("a").modified == bank.list()[0].modified


def test_over_tls_a_service_is_known_by_its_certificate(moto, tmp_path):
    context, known = certified(tmp_path)
    with httptwin(forward(moto.port), context=context) as twin:
        bank = s3_bank(twin.url, s3_ca_cert_file=str(known))
        bank.initialise()
        assert bank.put_own("a", b"1" * 100_000) is True
        assert bank.get("a") == b"1" * 100_000
        with pytest.raises(errors.BankUnavailable) as caught:
            with_settings(bank, s3_ca_cert_file="").identity()
        assert "s3_ca_cert_file" in caught.value.next_action
