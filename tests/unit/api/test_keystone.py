# SPDX-License-Identifier: Apache-2.0
"""Does the service refuse to start with a login at Keystone that cannot work, and tell clients where to log in?"""

import pytest
import webob

from karbor.api.keystone import Keystone
from karbor.model import errors
from tests.support.api import make_conf
from tests.support.servers import free_port

LOGIN = """[keystone_authtoken]
auth_type = password
auth_url = {url}
username = karbor
password = secret
project_name = service
user_domain_id = default
project_domain_id = default
http_request_max_retries = 0
"""


@pytest.fixture
def strategy(tmp_path):
    def build(text):
        settings = tmp_path / "karbor.conf"
        settings.write_text(text)
        return Keystone(make_conf([settings]))

    return build


def test_without_a_login_of_its_own_the_service_does_not_start(strategy):
    with pytest.raises(errors.ConfigurationError, match="needs a login of the service itself"):
        strategy("")


@pytest.mark.parametrize("text", ["auth_type = nonsense\n", "auth_type = v3fancy\nauth_url = http://127.0.0.1/v3\n"])
def test_a_way_to_log_in_that_does_not_exist_keeps_the_service_from_starting(strategy, text):
    with pytest.raises(errors.ConfigurationError, match="cannot be used"):
        strategy("[keystone_authtoken]\n" + text)


def test_clients_are_sent_to_the_public_address_of_keystone(strategy):
    text = LOGIN.format(url="http://inside/v3")
    assert strategy(text).challenge == 'Keystone uri="http://inside/v3"'
    assert (
        strategy(text + "www_authenticate_uri = https://outside/v3\n").challenge == 'Keystone uri="https://outside/v3"'
    )


def test_without_a_token_keystone_is_not_asked(strategy):
    made = strategy(LOGIN.format(url=f"http://127.0.0.1:{free_port()}/v3"))
    claims = {"X-Identity-Status": "Confirmed", "X-Project-Id": "p", "X-Roles": "admin"}
    with pytest.raises(errors.Unauthorized):
        made.identify(webob.Request.blank("/v1/p/plans", headers=claims), project_id="p")


def test_a_keystone_that_is_away_is_told(strategy):
    made = strategy(LOGIN.format(url=f"http://127.0.0.1:{free_port()}/v3"))
    request = webob.Request.blank("/v1/p/plans", headers={"X-Auth-Token": "token"})
    with pytest.raises(errors.Unavailable, match="Keystone cannot be asked"):
        made.identify(request, project_id="p")
