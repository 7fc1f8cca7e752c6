# SPDX-License-Identifier: Apache-2.0
"""What does it mean when a request through keystoneauth fails, and may it pass?"""

from collections.abc import Iterator
from contextlib import contextmanager

from keystoneauth1 import exceptions as ks

from karbor.common.retrying import Passing
from karbor.model import errors

#: Statuses that say "not now", beside everything from 500 on.
_LATER = (408, 425, 429)
_KINDS: dict[int, type[errors.KarborError]] = {
    400: errors.InvalidInput,
    401: errors.Forbidden,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    413: errors.TooLarge,
    501: errors.NotSupported,
}


def meaning(fault: ks.ClientException, what: str) -> errors.KarborError:
    """The error that callers shall see. ``what`` says in words for users what could not be done."""
    if isinstance(fault, ks.HttpError):
        kind = _KINDS.get(fault.http_status, errors.Unavailable)
        return kind(f"{what}.", detail=f"{fault} {fault.details or ''}".strip())
    if isinstance(fault, ks.AuthorizationFailure):
        return errors.Forbidden(f"{what}.", detail=str(fault))
    if isinstance(fault, ks.CatalogException):
        return errors.NotSupported(f"{what}: the cloud has no such service.", detail=str(fault))
    return errors.Unavailable(f"{what}.", detail=str(fault))


def passes(fault: ks.ClientException) -> bool:
    """Whether the same request may be answered well a little later."""
    if isinstance(fault, ks.HttpError):
        status = int(fault.http_status or 0)
        return status in _LATER or (status >= 500 and status != 501)
    return isinstance(fault, ks.ConnectionError) and not isinstance(fault, ks.SSLError)


@contextmanager
def told(what: str, *, again: bool = True) -> Iterator[None]:
    """Around a request: raises ``Passing`` around what may pass, and otherwise what it means.

    Without ``again`` nothing passes: for a request that must not be sent twice. Whether one that failed was ever heard
    nobody knows.
    """
    try:
        yield
    except ks.ClientException as fault:
        known = meaning(fault, what)
        if again and passes(fault):
            wait = float(getattr(fault, "retry_after", 0) or 0)
            raise Passing(known, wait=min(wait, 30.0)) from fault
        raise known from fault
