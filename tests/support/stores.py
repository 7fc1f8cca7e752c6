# SPDX-License-Identifier: Apache-2.0
"""How are the banks of object stores set for tests: in no hurry to give up, in a hurry to try again?"""

import uuid

from karbor.plugins.banks.s3 import S3Bank
from karbor.plugins.banks.swift import SwiftBank
from tests.support import swift


def s3_bank(url: str, bucket: str = "", *, user: str = "test", key: str = "testing1", **rest) -> S3Bank:
    """A bank in a bucket of its own unless one is named."""
    settings = {"s3_retry_backoff": 0.05, "bank_s3_object_bucket": bucket or f"bank-{uuid.uuid4()}"} | rest
    return S3Bank(S3Bank.Settings(s3_endpoint=url, s3_access_key=user, s3_secret_key=key, **settings))


def swift_bank(url: str, container: str = "", **rest) -> SwiftBank:
    """``url``: of the proxy. Records settle at once: only tests where writers meet need more."""
    settings = {
        "swift_auth_url": f"{url}/auth/v1.0",
        "swift_user": swift.USER,
        "swift_key": swift.KEY,
        "swift_retry_backoff": 0.05,
        "bank_swift_settle": 0.0,
        "bank_swift_list_lag": 0.0,
        "bank_swift_object_container": container or f"bank-{uuid.uuid4()}",
    }
    return SwiftBank(SwiftBank.Settings(**(settings | rest)))


def again(bank):
    """The same bank as another process sees it."""
    return type(bank)(bank.settings)


def with_settings(bank, **changed):
    return type(bank)(type(bank.settings)(**(bank.settings.to_dict() | changed)))
