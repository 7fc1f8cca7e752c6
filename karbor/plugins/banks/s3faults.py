# SPDX-License-Identifier: Apache-2.0
"""What does a failure of an S3 service mean for a bank, and may it pass?"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from botocore import exceptions as faults
from urllib3 import exceptions as broken

from karbor.common.retrying import Passing
from karbor.model import errors

_FULL = {"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "TooManyObjects", "StorageQuotaExceeded"}
_DAMAGED = {"BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "RequestTimeout", "ConditionalRequestConflict"}
_BUSY = {"SlowDown", "Throttling", "ThrottlingException", "TooManyRequests", "InternalError", "ServiceUnavailable"}
_CLOCK = {"RequestTimeTooSkewed", "ExpiredToken", "RequestExpired"}
_PASSING = (
    faults.ConnectionError,
    faults.HTTPClientError,
    faults.IncompleteReadError,
    faults.ResponseStreamingError,
    faults.FlexibleChecksumError,
    broken.HTTPError,  # in the middle of a body
)


def status_of(fault: faults.ClientError) -> int:
    return int(fault.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)


def _headers(fault: faults.ClientError) -> Mapping[str, str]:
    found: Mapping[str, str] = fault.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return found


class Hidden(errors.ObjectNotFound):
    """The object is hidden by a mark of deletion."""


@contextmanager
def told(place: str) -> Iterator[None]:
    """Say in the words of the contract what boto says.

    Raises Passing around what may pass; PreconditionFailed where a name is taken, NotSupported where a service does not
    know a header; otherwise as a bank does.
    """
    try:
        yield
    except faults.ClientError as fault:
        raise _answer(fault, place) from fault
    except faults.SSLError as fault:
        raise errors.BankUnavailable(
            detail=f"{place}: {fault}", next_action="name the authority of its certificate in s3_ca_cert_file"
        ) from fault
    except _PASSING as fault:
        raise Passing(
            errors.BankUnavailable(detail=f"{place}: {fault}", next_action="look at the S3 service and the way to it")
        ) from fault
    except (faults.NoCredentialsError, faults.PartialCredentialsError, faults.CredentialRetrievalError) as fault:
        raise errors.BankUnavailable(
            detail=f"{place}: {fault}", next_action="set s3_access_key and s3_secret_key"
        ) from fault
    except (faults.BotoCoreError, ValueError) as fault:  # ValueError: an endpoint that is no URL
        raise errors.BankUnavailable(detail=f"{place}: {fault}", next_action="correct [s3_client]") from fault


def _answer(fault: faults.ClientError, place: str) -> Exception:
    code, status = str(fault.response.get("Error", {}).get("Code", "")), status_of(fault)
    detail = f"{place}: {status} {code} {fault.response.get('Error', {}).get('Message', '')}".strip()
    if code == "NoSuchBucket":
        return errors.BankUnavailable(
            "The bank is missing.", detail=detail, next_action="make it with karbor-manage bank init"
        )
    if status == 412:
        return errors.PreconditionFailed(detail=detail)
    if code in _FULL or status in (413, 507):
        return errors.BankFull(detail=detail, next_action="raise the quota, or clean the bank up")
    if code in _DAMAGED or code in _BUSY or status in (408, 409, 429) or (status >= 500 and status != 501):
        wait = _headers(fault).get("retry-after", "")
        said = errors.BankUnavailable(detail=detail, next_action="look at the S3 service")
        return Passing(said, wait=min(float(wait), 60.0) if wait.isdigit() else 0.0)
    if status in (404, 405) and _headers(fault).get("x-amz-delete-marker") == "true":
        return Hidden(detail=detail)
    if code in ("NoSuchKey", "404", "NotFound"):
        return errors.ObjectNotFound(detail=detail)
    if status == 501:
        return errors.NotSupported(detail=detail)
    if code in _CLOCK:
        return errors.BankUnavailable(detail=detail, next_action="set the clock of this host, or renew the credentials")
    if status in (401, 403):
        return errors.BankUnavailable(
            "The bank refuses the service.", detail=detail, next_action="look at keys, rights and policy of the bucket"
        )
    return errors.BankUnavailable(detail=detail, next_action="correct [s3_client] and [s3_bank_plugin]")


def unfit(detail: str) -> errors.ConfigurationError:
    return errors.ConfigurationError(
        "This S3 service cannot be a bank: it has no conditional writes.",
        detail=detail,
        next_action="use a service or a release of it that has If-None-Match on put, or another kind of bank",
    )


def unlocked(detail: str) -> errors.ConfigurationError:
    return errors.ConfigurationError(
        "This bucket has no object lock.",
        detail=detail,
        next_action="make the bucket with object lock enabled, or set bank_s3_object_lock = false",
    )
