# SPDX-License-Identifier: Apache-2.0
"""Do the roles allow what they should?"""

import os

import pytest

from karbor.api.policy import Policy, list_rules
from karbor.api.v1.tree import ENDPOINTS
from karbor.common.context import RequestContext
from karbor.model import errors
from tests.support.api import make_conf
from tests.support.clock import TwinClock


@pytest.fixture(scope="module")
def policy():
    return Policy(make_conf(), ENDPOINTS)


def allowed(policy, rule, *, roles, project="mine", owner="mine", is_admin=False):
    context = RequestContext(project_id=project, roles=roles, is_admin=is_admin, overwrite=False)
    try:
        policy.check(rule, context, project_id=owner)
    except errors.Forbidden:
        return False
    return True


def test_every_operation_that_needs_a_login_has_a_documented_rule():
    rules = {rule.name: rule for rule in list_rules()}
    for endpoint in ENDPOINTS:
        if endpoint.operation.rule:
            found = rules[endpoint.operation.rule]
            assert found.operations == [{"path": endpoint.path, "method": endpoint.method}]


def test_no_rule_is_declared_twice():
    names = [rule.name for rule in list_rules()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("rule", "roles", "verdict"),
    [
        ("plan:get", ["reader"], True),
        ("plan:get", ["member"], True),
        ("plan:get", ["admin"], True),
        ("plan:get", [], False),
        ("plan:get", ["stranger"], False),
        ("plan:create", ["reader"], False),
        ("plan:create", ["member"], True),
        ("plan:create", ["admin"], True),
        ("provider:checkpoint_delete", ["reader"], False),
        ("restore:create", ["member"], True),
    ],
)
def test_roles_in_the_own_project(policy, rule, roles, verdict):
    assert allowed(policy, rule, roles=roles) is verdict


@pytest.mark.parametrize(
    ("rule", "roles", "verdict"),
    [
        ("plan:get", ["reader"], True),
        ("plan:get_all", ["reader"], True),
        ("plan:update", ["reader"], False),
        ("plan:update", ["member", "reader"], False),
        ("plan:update", ["admin"], True),
        ("plan:create", [], False),
        ("service:get_all", ["reader"], True),
        ("service:update", ["reader"], False),
        ("service:update", ["admin"], True),
    ],
)
def test_a_token_for_the_whole_system_looks_everywhere_and_only_its_administrator_changes(policy, rule, roles, verdict):
    context = RequestContext(project_id="mine", roles=roles, system_scope="all", overwrite=False)
    for owner in ("mine", "other"):
        try:
            policy.check(rule, context, project_id=owner)
            allowed = True
        except errors.Forbidden:
            allowed = False
        assert allowed is verdict


def test_a_token_for_a_domain_is_for_nothing_here(policy):
    context = RequestContext(project_id="mine", domain_id="d", roles=["member"], overwrite=False)
    with pytest.raises(errors.Forbidden):
        policy.check("plan:get", context, project_id="mine")


def test_what_holds_for_all_operations_is_noted(policy):
    for given, admin, everything in (
        ({"roles": ["admin"]}, True, True),
        ({"roles": ["admin"], "is_admin_project": False}, False, False),
        ({"roles": ["admin"], "is_admin_project": False, "system_scope": "all"}, True, True),
        ({"roles": ["reader"], "system_scope": "all"}, False, True),
        ({"roles": ["member", "reader"]}, False, False),
    ):
        context = RequestContext(project_id="mine", overwrite=False, **given)
        policy.grade(context)
        assert (context.is_admin, context.sees_all_projects) == (admin, everything)


def test_only_an_administrator_reaches_another_project(policy):
    assert not allowed(policy, "plan:get", roles=["member"], owner="other")
    assert allowed(policy, "plan:get", roles=["admin"], owner="other")
    assert allowed(policy, "plan:get", roles=[], owner="other", is_admin=True)


def test_an_operator_may_replace_a_rule(tmp_path):
    (tmp_path / "policy.yaml").write_text('"plan:create": "role:reader"\n')
    conf = make_conf()
    before = Policy(conf, ENDPOINTS)
    assert not allowed(before, "plan:create", roles=["reader"])
    conf.set_override("policy_file", str(tmp_path / "policy.yaml"), group="oslo_policy")
    after = Policy(conf, ENDPOINTS)
    assert allowed(after, "plan:create", roles=["reader"])
    assert not allowed(after, "plan:delete", roles=["reader"])


def test_a_changed_file_is_noticed_after_a_second(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text('"plan:create": "role:reader"\n')
    conf, clock = make_conf(), TwinClock()
    Policy(conf, ENDPOINTS)  # declares the setting
    conf.set_override("policy_file", str(path), group="oslo_policy")
    policy = Policy(conf, ENDPOINTS, clock=clock)
    assert allowed(policy, "plan:create", roles=["reader"])
    path.write_text('"plan:create": "!"\n')
    os.utime(path, (2_000_000_000, 2_000_000_000))
    assert allowed(policy, "plan:create", roles=["reader"])
    clock.pass_time(1)
    assert not allowed(policy, "plan:create", roles=["reader"])


def test_verdicts_of_one_caller_are_not_those_of_another():
    policy = Policy(make_conf(), ENDPOINTS, clock=TwinClock())
    assert allowed(policy, "plan:create", roles=["member"])
    assert not allowed(policy, "plan:create", roles=["reader"])
    assert not allowed(policy, "plan:create", roles=["member"], owner="other")
    assert not allowed(policy, "plan:create", roles=["member"], project="other")
