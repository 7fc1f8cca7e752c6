# SPDX-License-Identifier: Apache-2.0
"""Does every fault of a request through keystoneauth become the error that callers know?"""

import pytest
from keystoneauth1 import exceptions as ks

from karbor.clients.faults import told
from karbor.common.retrying import Passing
from karbor.model import errors


def _raised(fault, **more):
    with pytest.raises((Passing, errors.KarborError)) as caught, told("It could not be asked", **more):
        raise fault
    return caught.value


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (ks.Unauthorized(), errors.Forbidden),
        (ks.Forbidden(), errors.Forbidden),
        (ks.NotFound(), errors.NotFound),
        (ks.Conflict(), errors.Conflict),
        (ks.HttpNotImplemented(), errors.NotSupported),
        (ks.EndpointNotFound(), errors.NotSupported),
        (ks.SSLError(), errors.Unavailable),
    ],
)
def test_what_does_not_pass_is_told_at_once(fault, kind):
    found = _raised(fault)
    assert type(found) is kind and found.message.startswith("It could not be asked")


@pytest.mark.parametrize("fault", [ks.ServiceUnavailable(), ks.InternalServerError(), ks.ConnectFailure()])
def test_what_may_pass_is_tried_again(fault):
    found = _raised(fault)
    assert isinstance(found, Passing) and type(found.fault) is errors.Unavailable


@pytest.mark.parametrize("fault", [ks.ServiceUnavailable(), ks.ConnectFailure()])
def test_what_must_not_be_sent_twice_is_not_tried_again(fault):
    assert type(_raised(fault, again=False)) is errors.Unavailable
