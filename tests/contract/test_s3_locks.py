# SPDX-License-Identifier: Apache-2.0
"""What can whoever has the service's keys of an S3 account do to a locked checkpoint? Nothing that moto refuses.

moto is lenient: it lets a compliance retention be made shorter, its mode be changed, and versioning be suspended, which
S3 refuses. Of these it is shown that the bank never asks for them. KARBOR_LOCK_TRIES=N makes N tries.
"""

import os
import random
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from karbor.common.clock import Clock
from karbor.model import errors
from karbor.vault.vault import Vault
from tests.support.httptwin import forward, httptwin
from tests.support.stores import again, s3_bank
from tests.support.vaults import KEY, BytesSource, content_of, nothing

TRIES = int(os.environ.get("KARBOR_LOCK_TRIES", "100"))
KIND, DATA = "checkpoint", random.Random(1).randbytes(400_000)

pytestmark = pytest.mark.timeout(600 + TRIES)


class Locked:
    """A vault in a bucket with object lock, with a checkpoint that is locked for long."""

    def __init__(self, bank, directory):
        bank.initialise()
        self.bank, self.directory = bank, directory
        self.bucket, self.client = bank.settings.bank_s3_object_bucket, bank._client
        domain = self.vault("one").domain("project")
        self.stream = domain.write_stream(BytesSource(DATA), advance=nothing).id
        domain.put_record(KIND, "a", {"version": 1, "streams": [self.stream]})
        self.until = datetime.now(UTC) + timedelta(days=100)
        domain.lock_record(KIND, "a", "lock", mode="compliance", until=self.until)
        self.versions = {(one["Key"], one["VersionId"]) for one in self._versions() if bank.retained(one["Key"])}

    def vault(self, cache):
        return Vault(again(self.bank), master_key=KEY, cache_dir=self.directory / cache, clock=Clock(), threads=1)

    def _versions(self):
        found = self.client.list_object_versions(Bucket=self.bucket)["Versions"]
        return [one for one in found if not one["Key"].startswith(".")]

    def judge(self):
        assert self.versions <= {(one["Key"], one["VersionId"]) for one in self._versions()}
        for key, version in self.versions:
            found = self.client.head_object(Bucket=self.bucket, Key=key, VersionId=version)
            assert found["ObjectLockMode"] == "COMPLIANCE" and found["ObjectLockRetainUntilDate"] >= self.until


@pytest.fixture(scope="module")
def locked(moto, tmp_path_factory):
    return Locked(s3_bank(moto.url, bank_s3_object_lock=True), tmp_path_factory.mktemp("locked"))


def test_everything_that_the_checkpoint_needs_is_kept_by_the_service(locked):
    kept = {name.split("/")[2] if name.startswith("d/") else name for name, _ in locked.versions}
    assert kept >= {"pack", "index", "stream", "record", "key", "hold", "vault/key/00000001"}


def test_deletion_and_clean_up_are_refused_and_leave_no_marks(locked):
    domain = locked.vault("two").domain("project")
    with pytest.raises(errors.CheckpointLocked):
        domain.delete_record(KIND, "a")
    found = locked.client.list_object_versions(Bucket=locked.bucket)
    assert not found.get("DeleteMarkers")


def test_no_try_removes_what_is_locked(locked):
    rng, refused = random.Random(TRIES), 0
    names = sorted(locked.versions)
    for number in range(TRIES):
        key, version = rng.choice(names)
        place = {"Bucket": locked.bucket, "Key": key}
        tries = (
            lambda: locked.client.delete_object(**place, VersionId=version),  # noqa: B023 - called at once
            lambda: locked.client.delete_object(**place, VersionId=version, BypassGovernanceRetention=True),  # noqa: B023
            lambda: locked.client.delete_object(**place),  # noqa: B023 - hides it
            lambda: locked.client.put_object(**place, Body=b"else"),  # noqa: B023 - lies before it
            lambda: locked.client.delete_objects(
                Bucket=locked.bucket,
                Delete={"Objects": [{"Key": one, "VersionId": of} for one, of in rng.sample(names, 2)]},
            ),
            lambda: locked.client.put_object_legal_hold(**place, VersionId=version, LegalHold={"Status": "OFF"}),  # noqa: B023
            lambda: locked.client.delete_bucket(Bucket=locked.bucket),
            lambda: locked.bank.delete(key),  # noqa: B023
            lambda: locked.bank.retain(key, locked.until - timedelta(days=rng.randint(1, 200))),  # noqa: B023
        )
        try:
            rng.choice(tries)()
        except (ClientError, errors.KarborError):
            refused += 1
        if number % 100 == 99:
            locked.judge()
    locked.judge()
    assert refused


def test_what_was_hidden_can_be_read_again(moto, tmp_path):
    locked = Locked(s3_bank(moto.url, bank_s3_object_lock=True), tmp_path)
    for key, _version in locked.versions:
        locked.client.put_object(Bucket=locked.bucket, Key=key, Body=b"else")
        locked.client.delete_object(Bucket=locked.bucket, Key=key)
    again(locked.bank).initialise()
    domain = locked.vault("two").domain("project")
    assert content_of(domain, domain.get_record(KIND, "a")["streams"][0]) == DATA


def test_the_bank_never_asks_for_less_than_there_is(moto):
    """Also where the service would grant it, as moto does."""
    asked = []
    real = forward(moto.port)

    def seen(request):
        if "retention" in request.path and request.method == "PUT":
            asked.append(request.path)
        return real(request)

    with httptwin(seen) as twin:
        bank = s3_bank(twin.url, bank_s3_object_lock=True)
        bank.initialise()
        bank.put_own("a", b"1")
        until = datetime.now(UTC) + timedelta(days=9)
        bank.retain("a", until)
        for days in (8, 1, -1, 9):
            bank.retain("a", until - timedelta(days=9 - days))
        assert len(asked) == 1


def test_what_moto_grants_and_s3_refuses(moto):
    """Measured, so that nobody takes moto for a proof. Where a new release refuses it, the text above can change."""
    bank = s3_bank(moto.url, bank_s3_object_lock=True)
    bank.initialise()
    bank.put_own("a", b"1")
    until = datetime.now(UTC) + timedelta(days=9)
    bank.retain("a", until)
    bucket = {"Bucket": bank.settings.bank_s3_object_bucket}
    place = {**bucket, "Key": "a"}
    for weaker in (
        lambda: bank._client.put_object_retention(
            **place, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until - timedelta(days=8)}
        ),
        lambda: bank._client.put_object_retention(**place, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until}),
        lambda: bank._client.put_bucket_versioning(**bucket, VersioningConfiguration={"Status": "Suspended"}),
    ):
        assert weaker()["ResponseMetadata"]["HTTPStatusCode"] == 200
