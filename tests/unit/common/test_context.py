# SPDX-License-Identifier: Apache-2.0
"""Who may ask for the lists of all projects?"""

from karbor.common import context


def test_only_an_administrator_sees_all_projects():
    assert not context.RequestContext(project_id="p", overwrite=False).sees_all_projects
    assert not context.RequestContext(project_id="p", roles=["member"], overwrite=False).sees_all_projects
    assert context.RequestContext(project_id="p", is_admin=True, overwrite=False).sees_all_projects


def test_work_that_nobody_asked_for_is_the_services_own():
    found = context.for_service(overwrite=False)
    assert found.sees_all_projects
    assert found.project_id is None
    assert found.request_id.startswith("req-")


def test_who_asks_survives_the_way_to_another_process():
    found = context.RequestContext(project_id="p", user_id="u", roles=["member"], is_admin=True, overwrite=False)
    again = context.RequestContext.from_dict(found.to_dict(), overwrite=False)
    assert (again.project_id, again.user_id, again.roles) == ("p", "u", ["member"])
    assert (again.request_id, again.sees_all_projects) == (found.request_id, True)
