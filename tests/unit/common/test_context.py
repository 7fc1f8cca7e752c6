# SPDX-License-Identifier: Apache-2.0
"""Who may ask for the lists of all projects?"""

from oslo_context import context as current

from karbor.common import context
from karbor.model.operation import Job


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


def test_log_lines_of_a_thread_belong_to_the_job_it_works_on():
    context.begin(request_id="req-before", global_request_id="req-whole")
    context.begin_job(Job("j", "protect", "p", "provider", request_id="req-1", payload={"global_request_id": "req-2"}))
    now = current.get_current()
    assert (now.request_id, now.global_request_id) == ("req-1", "req-2")
    context.begin_job(Job("j", "protect", "p", "provider", request_id="req-3"))
    now = current.get_current()
    assert (now.request_id, now.global_request_id) == ("req-3", None)
