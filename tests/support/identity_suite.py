# SPDX-License-Identifier: Apache-2.0
"""What must hold of logins and trusts, at a Keystone that is real or a twin?

A test class gives ``identity`` (as the service logs in), ``elsewhere`` (with the same settings) and ``tenant`` (a
member of one project, see Tenant in tests/system/test_keystone_trusts.py and TwinTenant) as fixtures, and inherits the
rest.
"""

import uuid

import pytest

from karbor.clients.elsewhere import Login, normal
from karbor.model import errors
from tests.support.rest import PAUSE


class IdentitySuite:
    @pytest.fixture
    def trust(self, identity, tenant):
        made = identity.create_trust(tenant.token(), tenant.project, name=f"karbor {uuid.uuid4()}")
        yield made
        # Keystone tells moments of revocations in whole seconds: a token of the same second is no good either.
        for left in range(20, -1, -1):
            try:
                return identity.delete_trust(made)
            except (errors.Forbidden, errors.Unauthorized):
                if not left:
                    raise
                PAUSE.wait(0.3)

    @pytest.mark.parametrize("named", [True, False])
    def test_a_login_that_a_user_gives_leads_to_its_project(self, identity, elsewhere, tenant, named):
        given = {**tenant.login(), **({"project_id": tenant.project} if named else {})}
        found = elsewhere.enter(Login.parse(normal(identity.url()), given))
        assert (found.project_id, found.user_id) == (tenant.project, tenant.id)
        assert found.login.given["project_id"] == tenant.project
        again = elsewhere.session(Login.from_dict(found.login.to_dict()))
        assert again.get_project_id() == tenant.project
        identity.delete_trust(identity.create_trust(found.token, found.project_id, hand_on=True))

    def test_a_token_leads_to_a_project_of_its_user(self, identity, elsewhere, tenant):
        login = Login.parse(normal(identity.url()), {"project_id": tenant.project})
        found = elsewhere.enter(login, token=tenant.token())
        assert (found.project_id, found.user_id) == (tenant.project, tenant.id)
        identity.delete_trust(identity.create_trust(found.token, found.project_id, hand_on=True))

    def test_an_application_credential_leads_to_its_project(self, identity, elsewhere, tenant):
        found = elsewhere.enter(Login.parse(normal(identity.url()), tenant.own_credential()))
        assert (found.project_id, found.user_id) == (tenant.project, tenant.id)
        assert elsewhere.session(Login.from_dict(found.login.to_dict())).get_project_id() == tenant.project

    @pytest.mark.parametrize("wrong", [
        {"password": "wrong"}, {"user_id": "0" * 32}, {"project_id": "0" * 32}, {"project_name": "no such project"},
        {"application_credential_id": "0" * 32, "application_credential_secret": "x"},
    ])  # fmt: skip
    def test_a_login_that_is_wrong_is_refused_as_what_the_user_sent(self, identity, elsewhere, tenant, wrong):
        with pytest.raises(errors.InvalidInput, match="was refused"):
            elsewhere.enter(Login.parse(normal(identity.url()), {**tenant.login(), **wrong}))

    def test_a_trust_lets_us_act_in_the_project_and_is_found_by_its_name(self, identity, tenant):
        name = f"karbor {uuid.uuid4()}"
        trust = identity.create_trust(tenant.token(), tenant.project, name=name)
        (found,) = [one for one in identity.trusts() if one.name == name]
        assert (found.id, found.project_id, found.user_id) == (trust, tenant.project, tenant.id)
        session = identity.session_for_trust(trust)
        assert (session.get_project_id(), session.get_user_id()) == (tenant.project, tenant.id)
        for _time in range(2):
            identity.delete_trust(trust)
        assert trust not in tenant.trusts()

    def test_one_login_serves_until_a_fresh_one_is_asked_for(self, identity, trust):
        first = identity.login(trust)
        assert identity.login(trust) == first
        assert identity.session_for_token(identity.login(trust, fresh=True)).get_project_id()

    def test_a_lost_role_is_told_and_works_again(self, identity, tenant, trust):
        identity.login(trust)
        tenant.take_role()
        with pytest.raises(errors.Forbidden, match="lost a role in the project"):
            identity.login(trust, fresh=True)
        tenant.give_role()
        assert identity.login(trust)

    def test_a_disabled_user_is_told_and_works_again(self, identity, tenant, trust):
        tenant.set(enabled=False)
        with pytest.raises(errors.Forbidden, match="is disabled"):
            identity.login(trust)
        with pytest.raises(errors.Forbidden, match="could not be given back"):
            identity.delete_trust(trust)
        tenant.set(enabled=True)
        assert identity.login(trust)

    def test_a_deleted_trust_is_told(self, identity, tenant):
        trust = identity.create_trust(tenant.token(), tenant.project)
        tenant.delete_trust(trust)
        with pytest.raises(errors.Forbidden, match="deleted in Keystone"):
            identity.login(trust)

    def test_what_was_handed_on_is_not_handed_on_again(self, identity, tenant, trust):
        with pytest.raises(errors.Forbidden, match="a login with a trust. Log in as the user"):
            identity.create_trust(identity.login(trust), tenant.project)
        with pytest.raises(errors.Forbidden, match="an application credential. Log in with a password"):
            identity.create_trust(tenant.credential(), tenant.project)

    def test_what_may_be_handed_on_is_once_and_ends_with_it(self, identity, tenant):
        """As Heat does it, for all roles that it sees."""
        trust = identity.create_trust(tenant.token(), tenant.project, hand_on=True)
        token = identity.login(trust)
        access = identity.session_for_token(token).auth.get_access(identity.session_for_token(token))
        handed = self._hand_on(identity, tenant, token, access.role_names)
        assert identity.login(handed)
        with pytest.raises(errors.Forbidden):
            identity.create_trust(identity.login(handed), tenant.project)
        identity.delete_trust(trust)
        assert not {trust, handed} & tenant.trusts()

    @staticmethod
    def _hand_on(identity, tenant, token, roles):
        wish = {
            "trustor_user_id": tenant.id,
            "trustee_user_id": identity.user_id(),
            "project_id": tenant.project,
            "impersonation": True,
            "roles": [{"name": role} for role in roles],
        }
        session = identity.session_for_token(token)
        answer = session.post(f"{identity.url()}/OS-TRUST/trusts", json={"trust": wish})
        return answer.json()["trust"]["id"]

    def test_nobody_hands_on_what_is_not_his(self, identity, tenant):
        with pytest.raises(errors.Unauthorized):
            identity.create_trust("garbage", tenant.project)
        with pytest.raises(errors.Forbidden, match="another project"):
            identity.create_trust(tenant.token(), "elsewhere")
        with pytest.raises(errors.Forbidden, match="needs one of your roles in this project: admin"):
            identity.create_trust(tenant.token(), tenant.project, ["admin"])

    def test_a_token_that_was_shown_serves_as_it_is(self, identity, tenant):
        token = tenant.token()
        session = identity.session_for_token(token, tenant.project)
        assert (session.get_token(), session.get_user_id()) == (token, tenant.id)
        assert session.get_endpoint(service_type="identity", **identity.place)
