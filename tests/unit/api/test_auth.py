# SPDX-License-Identifier: Apache-2.0
"""Who is a caller without login, and where may such a service listen?"""

import pytest
import webob

from karbor.api.auth import NoAuth, check_listen
from karbor.model import errors
from tests.support.api import make_conf


def identify(**headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return NoAuth().identify(webob.Request.blank("/v1/p1/plans", headers=named), project_id="p1")


@pytest.mark.parametrize(
    ("headers", "user", "project"),
    [
        ({}, "admin", "p1"),
        ({"X_Auth_User": "ann"}, "ann", "p1"),
        ({"X_Auth_Token": "ann:p2"}, "ann", "p2"),
        ({"X_Auth_Token": "ann"}, "ann", "ann"),
        ({"X_Auth_Token": "ann:"}, "ann", "ann"),
    ],
)
def test_a_caller_is_who_he_says_he_is(headers, user, project):
    context = identify(**headers)
    assert (context.user_id, context.project_id, context.is_admin) == (user, project, True)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
def test_without_login_loopback_is_allowed(address):
    check_listen(make_conf(osapi_karbor_listen=address))


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.0.0.1", "backup.example.org", "localhost.example.org"])
def test_without_login_no_other_address_is_allowed(address):
    with pytest.raises(errors.ConfigurationError, match="noauth makes everybody an administrator"):
        check_listen(make_conf(osapi_karbor_listen=address))


def test_with_login_every_address_is_allowed():
    check_listen(make_conf(osapi_karbor_listen="0.0.0.0", auth_strategy="http_basic"))
