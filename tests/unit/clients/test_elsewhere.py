# SPDX-License-Identifier: Apache-2.0
"""Is what users give as a login understood, and is an address what it looks like?

How logins are tried is in tests/unit/api/test_targets.py.
"""

import pytest
from keystoneauth1.identity import v3

from karbor.clients.elsewhere import Login, normal
from karbor.model import errors

URL = "https://there:5000/v3"


@pytest.mark.parametrize("written", [
    "https://there:5000", "https://there:5000/", "https://there:5000/v3/", " https://THERE:5000/v3 ",
    "https://there:5000/v2.0",
])  # fmt: skip
def test_one_address_is_written_in_many_ways(written):
    assert normal(written) == URL


def test_other_addresses_stay_apart():
    assert normal("https://there:443/identity/") == "https://there/identity/v3"
    assert normal("http://[::1]:5000/") == "http://[::1]:5000/v3"
    assert len({normal(one) for one in ("http://a", "https://a", "http://a:81", "http://a/b", "http://b")}) == 5


@pytest.mark.parametrize("wrong", [
    "", "there", "ftp://there", "file:///etc/passwd", "https://", "https://user:word@there/", "https://there/?q=1",
    "https://there/#x", "https://there:99999", "https://[::1", "javascript:alert(1)",
])  # fmt: skip
def test_what_is_no_address_of_a_keystone_is_refused(wrong):
    with pytest.raises(errors.InvalidInput, match="must be the address"):
        normal(wrong)


def test_names_without_a_domain_are_those_of_the_default_one():
    plugin = Login.parse(URL, {"username": "u", "password": "p", "project_name": "q"}).plugin()
    assert isinstance(plugin, v3.Password)
    assert (plugin.auth_methods[0].user_domain_id, plugin.project_domain_id) == ("default", "default")


def test_a_domain_that_is_given_is_kept_and_ids_need_none():
    given = {"username": "u", "password": "p", "user_domain_name": "d", "project_id": "q", "region_name": "west"}
    login = Login.parse(URL, given)
    plugin = login.plugin()
    assert (plugin.auth_methods[0].user_domain_name, plugin.auth_methods[0].user_domain_id) == ("d", None)
    assert (plugin.project_id, plugin.project_domain_id, login.region) == ("q", None, "west")


def test_the_way_to_log_in_follows_from_what_is_given():
    assert Login.parse(URL, {"application_credential_id": "i", "application_credential_secret": "s"}).kind == (
        "application_credential"
    )
    assert Login.parse(URL, {"user_id": "u", "password": "p"}).kind == "password"
    assert Login.parse(URL, {"project_name": "q"}).kind == "token"


def test_an_application_credential_has_its_own_project():
    given = {"application_credential_name": "n", "application_credential_secret": "s", "user_id": "u"}
    assert isinstance(Login.parse(URL, {**given, "project_name": "q"}).plugin(), v3.ApplicationCredential)


def test_a_login_within_a_project_forgets_what_it_was_for():
    login = Login.parse(URL, {"username": "u", "password": "p", "project_name": "q", "project_domain_id": "d"})
    assert dict(login.within("id").given) == {"username": "u", "password": "p", "project_id": "id"}


def test_a_login_comes_back_from_its_dictionary_and_shows_no_secret():
    login = Login.parse(URL, {"username": "u", "password": "hunter2"})
    assert Login.from_dict(login.to_dict()) == login
    assert "hunter2" not in repr(login) + str(login)


@pytest.mark.parametrize("wrong", [
    {"username": "u"}, {"password": "p"}, {"type": "password", "project_id": "q"}, {"type": "token"},
    {"application_credential_name": "n", "application_credential_secret": "s"},
    {"application_credential_id": "i"}, {"type": "saml", "username": "u", "password": "p"},
])  # fmt: skip
def test_half_a_login_is_refused(wrong):
    with pytest.raises(errors.InvalidInput, match="restore_auth"):
        Login.parse(URL, wrong)
