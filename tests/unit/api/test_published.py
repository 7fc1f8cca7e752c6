# SPDX-License-Identifier: Apache-2.0
"""Is what a policy has made done by a trust of whoever picked it, which goes when nothing needs it any more?"""

from tests.fuzz.population import NIGHTLY, POLICY, policy
from tests.unit.api.test_trusts import api, caller, tenant, twin  # noqa: F401


def _operations(api):  # noqa: F811
    with api.database.read() as rows:
        query = "SELECT user_id, trust_id FROM scheduled_operations"
        return [tuple(row) for row in rows.connection.exec_driver_sql(query)]


def test_all_of_a_plan_is_done_by_one_trust_until_the_policy_goes(api, caller, tenant, twin):  # noqa: F811
    with api.database.write() as rows:
        policy(rows)
    plan = caller.plan()
    path = f"/plans/{plan['id']}"
    assert caller.send("PUT", path, {"plan": {"policy": "silver"}})[0] == 200
    (first,) = tenant.trusts()
    assert _operations(api) == [(tenant.id, first)]

    # The administrator adds a schedule: it is done for the one who picked the policy.
    entries = [
        {"name": name, "operation_type": "protect", "trigger": {"type": "time", "properties": NIGHTLY}}
        for name in ("backup", "more")
    ]
    headers = {"X-Auth-Token": twin.token("admin")}
    body = {"policy": {"schedules": entries}}
    assert api.send("PUT", f"/policies/{POLICY}", body, project="admin", headers=headers)[0] == 200
    assert _operations(api) == [(tenant.id, first)] * 2

    # Picked anew, by a new trust; the old one is given back. Taken away, none is left.
    assert caller.send("PUT", path, {"plan": {"policy": "silver"}})[0] == 200
    (second,) = tenant.trusts()
    assert second != first and _operations(api) == [(tenant.id, second)] * 2
    assert caller.send("DELETE", path)[0] == 204
    assert (_operations(api), tenant.trusts()) == ([], set())


def test_who_cannot_give_a_permission_picks_none_and_leaves_nothing(api, caller, tenant):  # noqa: F811
    with api.database.write() as rows:
        policy(rows)
    plan = caller.plan()
    caller.token = tenant.credential()
    caller.refused(403, "PUT", f"/plans/{plan['id']}", {"plan": {"policy": "silver"}})
    assert (_operations(api), tenant.trusts()) == ([], set())
