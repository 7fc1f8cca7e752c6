# SPDX-License-Identifier: Apache-2.0
"""Are logins made from the settings, with the scope of a trust and nothing else where one is named?"""

import pytest

from karbor.clients.logins import Logins
from karbor.model import errors
from tests.support.api import make_conf

LOGIN = "auth_type = password\nauth_url = http://k/v3\nusername = karbor\npassword = secret\nproject_name = service\n"


@pytest.fixture
def logins(tmp_path):
    def made(text):
        settings = tmp_path / "karbor.conf"
        settings.write_text(text)
        return Logins(make_conf([settings]))

    return made


def test_a_trust_takes_the_place_of_the_project(logins):
    made = logins(f"[keystone_authtoken]\n{LOGIN}user_domain_id = default\nproject_domain_id = default\n")
    assert made.service()._project_name == "service"
    by_trust = made.trust("t1")
    assert (by_trust._trust_id, by_trust._project_name, by_trust._project_domain_id) == ("t1", None, None)
    assert by_trust._username == "karbor"


def test_a_section_of_its_own_or_another_one_may_hold_the_login(logins):
    assert logins(f"[clients]\n{LOGIN}").service().auth_url == "http://k/v3"
    assert logins(f"[clients]\nauth_section = other\n[other]\n{LOGIN}").service().auth_url == "http://k/v3"


def test_a_login_that_knows_no_trusts_is_told(logins):
    text = "auth_type = v3applicationcredential\nauth_url = http://k/v3\n"
    made = logins(f"[clients]\n{text}application_credential_id = a\napplication_credential_secret = b\n")
    assert made.service()
    with pytest.raises(errors.ConfigurationError, match="knows no trusts"):
        made.trust("t1")


def test_tls_is_that_of_the_section(logins):
    made = logins(f"[clients]\n{LOGIN}cafile = /ca\ncertfile = /cert\nkeyfile = /key\ntimeout = 7\n")
    session = made.session(made.service())
    assert (session.verify, session.cert, session.timeout) == ("/ca", ("/cert", "/key"), 7.0)
    made = logins(f"[clients]\n{LOGIN}insecure = true\nrequest_timeout = 9\n")
    session = made.session(made.service())
    assert (session.verify, session.timeout) == (False, 9.0)
