# SPDX-License-Identifier: Apache-2.0
"""Do logins and trusts work as the suite says, also where Keystone has a bad day, and for many threads at once?"""

from concurrent.futures import ThreadPoolExecutor

import pytest

from karbor.clients.elsewhere import Elsewhere
from karbor.clients.identity import Identity
from karbor.common.retrying import Policy, Retrying
from karbor.model import errors
from tests.support.api import make_conf
from tests.support.identity_suite import IdentitySuite
from tests.support.keystone_twin import TwinTenant, keystone_twin


@pytest.fixture(scope="module")
def keystone():
    with keystone_twin() as twin:
        yield twin


@pytest.fixture
def tenant(keystone):
    return TwinTenant(keystone)


@pytest.fixture
def conf(keystone, tmp_path):
    """Settings that lead to the twin; more of them may be written."""

    def made(more="", login=None):
        settings = tmp_path / "karbor.conf"
        settings.write_text((keystone.settings() if login is None else login) + more)
        return make_conf([settings])

    return made


@pytest.fixture
def identity(conf):
    return Identity(conf(), retrying=Retrying(Policy(attempts=3), pause=lambda _seconds: None))


@pytest.fixture
def elsewhere(conf):
    return Elsewhere(conf())


class TestWithTheTwin(IdentitySuite):
    pass


def test_requests_that_failed_in_passing_are_sent_again(keystone, identity, tenant):
    trust = identity.create_trust(tenant.token(), tenant.project)
    keystone.http.fail("status", method="POST", part="/auth/tokens", times=2)
    assert identity.login(trust, fresh=True)
    keystone.http.fail("status", method="DELETE", times=1)
    identity.delete_trust(trust)
    assert trust not in tenant.trusts()


@pytest.mark.parametrize("kind", ["lost", "closed"])
def test_a_trust_whose_answer_was_lost_is_not_made_twice(keystone, identity, tenant, kind):
    known = tenant.trusts()
    keystone.http.fail(kind, method="POST", part="OS-TRUST", times=1)
    trust = identity.create_trust(tenant.token(), tenant.project, name=f"karbor {kind}")
    assert tenant.trusts() - known == {trust}


def test_a_trust_without_a_name_is_asked_for_once(keystone, identity, tenant):
    keystone.http.fail("closed", method="POST", part="OS-TRUST", times=1)
    with pytest.raises(errors.Unavailable):
        identity.create_trust(tenant.token(), tenant.project)


def test_a_keystone_that_is_away_is_not_the_fault_of_the_tenant(keystone, identity, tenant):
    trust = identity.create_trust(tenant.token(), tenant.project)
    keystone.http.fail("status", times=100)
    try:
        with pytest.raises(errors.Unavailable):
            identity.login(trust, fresh=True)
    finally:
        keystone.http.heal()
    assert identity.login(trust)


def test_a_wrong_login_of_ours_is_not_the_fault_of_the_tenant(keystone, conf, identity, tenant):
    trust = identity.create_trust(tenant.token(), tenant.project)
    wrong = Identity(conf(login=keystone.settings().replace("password = secret", "password = wrong")))
    with pytest.raises(errors.Unavailable, match="refuses the service itself"):
        wrong.login(trust)


def test_many_threads_log_in_once(keystone, identity, tenant):
    trust = identity.create_trust(tenant.token(), tenant.project)
    identity.url()
    before = keystone.http.count("POST", "/auth/tokens")
    with ThreadPoolExecutor(8) as pool:
        tokens = set(pool.map(lambda _number: identity.login(trust), range(32)))
    assert len(tokens) == 1
    assert keystone.http.count("POST", "/auth/tokens") == before + 1


def test_the_login_may_stand_in_a_section_of_its_own(keystone, conf, tenant):
    text = keystone.settings()
    own = text.replace("[keystone_authtoken]", "[clients]\ntrust_roles = reader\nregion_name = R\ninterface = internal")
    own = "".join(line for line in own.splitlines(keepends=True) if "interface = public" not in line)
    found = Identity(conf(login=own.replace("www_authenticate_uri", "#").replace("http_connect_timeout", "#")))
    assert found.place == {"region_name": "R", "interface": "internal"}
    trust = found.create_trust(tenant.token(), tenant.project)
    assert [role["name"] for role in keystone.trusts[trust]["roles"]] == ["reader"]


@pytest.mark.parametrize("login", ["", "[keystone_authtoken]\nauth_type = nonsense\n"])
def test_without_a_login_that_can_be_used_it_is_not_made(conf, login):
    with pytest.raises(errors.ConfigurationError):
        Identity(conf(login=login))
