# SPDX-License-Identifier: Apache-2.0
"""Who is a caller without login, and where may such a service listen?"""

import pytest
import webob
from oslo_context import context as current

from karbor.api.auth import Authentication, NoAuth, check_listen, request_ids
from karbor.api.limits import Concurrency
from karbor.api.policy import Policy
from karbor.api.v1.tree import ENDPOINTS
from karbor.common.context import RequestContext
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


class Whoever:
    """A way to log in that answers with the context it was given."""

    challenge = ""

    def __init__(self, **values):
        self.values = values

    def identify(self, request, *, project_id):
        return RequestContext(roles=["reader"], **self.values, **request_ids(request.environ))


def ask(strategy, path="/v1/p1/plans"):
    """The context that the application gets."""
    seen = []

    def application(environ, start_response):
        seen.append(environ.get("karbor.context"))
        return webob.Response(status=204)(environ, start_response)

    concurrency = Concurrency(1, what="requests")
    layer = Authentication(application, strategy, policy=Policy(make_conf(), ENDPOINTS), concurrency=concurrency)
    environ = {"openstack.request_id": "req-1", "openstack.global_request_id": "req-2"}
    webob.Request.blank(path, environ=environ).get_response(layer)
    return seen[0]


def test_the_context_names_the_request_and_the_chain_it_belongs_to():
    context = ask(Whoever(project_id="p1"))
    assert (context.request_id, context.global_request_id) == ("req-1", "req-2")


def test_what_needs_no_login_is_logged_under_its_own_request():
    ask(Whoever(project_id="p1"))
    assert ask(Whoever(project_id="p1"), "/v1/openapi.json") is None
    assert current.get_current().user_id is None


@pytest.mark.parametrize("values", [{"project_id": "p2"}, {"project_id": None}, {"domain_id": "d"}])
def test_a_login_for_something_else_is_refused(values):
    with pytest.raises(errors.InvalidInput, match="Malformed request url"):
        ask(Whoever(**values))


def test_a_login_for_the_whole_system_is_about_the_project_of_the_url():
    context = ask(Whoever(system_scope="all"))
    assert (context.project_id, context.is_admin, context.sees_all_projects) == ("p1", False, True)
