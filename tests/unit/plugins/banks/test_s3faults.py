# SPDX-License-Identifier: Apache-2.0
"""Is every failure of an S3 service told in the words of a bank, and which ones may pass?"""

import pytest
from botocore import exceptions as faults

from karbor.common.retrying import Passing
from karbor.model import errors
from karbor.plugins.banks.s3faults import told


def raised(fault):
    with pytest.raises((errors.KarborError, Passing)) as caught:
        with told("here"):
            raise fault
    return caught.value


def answer(status, code, **headers):
    metadata = {"HTTPStatusCode": status, "HTTPHeaders": headers}
    return faults.ClientError({"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": metadata}, "PutObject")


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (404, "NoSuchKey", errors.ObjectNotFound),
        (404, "404", errors.ObjectNotFound),
        (404, "NoSuchBucket", errors.BankUnavailable),
        (412, "PreconditionFailed", errors.PreconditionFailed),
        (501, "NotImplemented", errors.NotSupported),
        (403, "QuotaExceeded", errors.BankFull),
        (507, "XMinioStorageFull", errors.BankFull),
        (413, "EntityTooLarge", errors.BankFull),
        (403, "AccessDenied", errors.BankUnavailable),
        (403, "RequestTimeTooSkewed", errors.BankUnavailable),
        (400, "InvalidRequest", errors.BankUnavailable),
    ],
)
def test_answers_that_do_not_pass(status, code, expected):
    found = raised(answer(status, code))
    assert type(found) is expected
    assert "here" in found.detail and code in found.detail


@pytest.mark.parametrize(
    ("status", "code"),
    [(503, "SlowDown"), (500, "InternalError"), (429, "TooManyRequests"), (400, "RequestTimeout"), (400, "BadDigest"),
     (409, "ConditionalRequestConflict"), (502, "502")],
)  # fmt: skip
def test_answers_that_pass(status, code):
    found = raised(answer(status, code, **{"retry-after": "7"}))
    assert isinstance(found, Passing) and type(found.fault) is errors.BankUnavailable and found.wait == 7


def test_a_way_that_is_broken_may_pass_and_wrong_settings_do_not():
    assert isinstance(raised(faults.EndpointConnectionError(endpoint_url="u")), Passing)
    assert isinstance(raised(faults.ReadTimeoutError(endpoint_url="u")), Passing)
    for fault in (faults.NoCredentialsError(), faults.SSLError(endpoint_url="u", error="e"), ValueError("no URL")):
        found = raised(fault)
        assert type(found) is errors.BankUnavailable and found.next_action
