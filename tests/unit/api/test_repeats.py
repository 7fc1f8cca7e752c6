# SPDX-License-Identifier: Apache-2.0
"""What counts as the same request under one key?"""

from types import SimpleNamespace

import pytest
from webob.multidict import MultiDict

from karbor.api import repeats
from karbor.api.call import Call
from karbor.common.context import RequestContext
from karbor.db.database import Database
from karbor.model import errors
from karbor.model.operation import Job
from tests.support.clock import TwinClock

BODY = {"checkpoint_id": "c", "restore_auth": {"username": "u", "password": "p"}}


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    """What a request needs of the service to be remembered."""
    clock = TwinClock()
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('repeats')}/karbor.sqlite", clock=clock)
    database.upgrade()
    yield SimpleNamespace(database=database, clock=clock)
    database.dispose()


@pytest.fixture
def ask(services, request):
    """Do a request; returns the number that its answer holds, and whether there are jobs to be told of."""
    done = []

    def make(rows):
        done.append(None)
        return {"number": len(done)}, (Job("j", "restore", "p", "v"),)

    def run(body=BODY, path=None, rule="restore:create", key=request.node.name[:255], base_url="http://one"):
        call = Call(
            services=services,
            context=RequestContext(project_id="p", overwrite=False),
            rule=rule,
            path=path or {},
            query=MultiDict(),
            body=body,
            url=f"{base_url}/restores",
            base_url=base_url,
            method="POST",
            headers={"Idempotency-Key": key} if key else {},
        )
        before = repeats.known(call)
        answer, jobs = repeats.once(call, make)
        assert before in (None, answer)
        return answer["number"], bool(jobs)

    return run


def test_the_second_gets_the_first_answer_and_no_job(ask):
    assert [ask(), ask()] == [(1, True), (1, False)]


def test_the_address_of_the_service_and_a_login_make_no_difference(ask):
    """The login is never kept, not even as a hash."""
    other = {**BODY, "restore_auth": {"username": "u", "password": "another"}}
    assert [ask(), ask(base_url="http://two"), ask(body=other)] == [(1, True), (1, False), (1, False)]


@pytest.mark.parametrize(
    "other", [{"body": {**BODY, "checkpoint_id": "d"}}, {"rule": "plan:create"}, {"path": {"provider_id": "q"}}]
)
def test_anything_else_is_another_request(ask, other):
    ask()
    with pytest.raises(errors.Conflict, match="another request"):
        ask(**other)


def test_without_a_key_everything_is_new(ask):
    assert [ask(key=""), ask(key="")] == [(1, True), (2, True)]
