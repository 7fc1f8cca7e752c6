# SPDX-License-Identifier: Apache-2.0
"""Can one tenant learn anything of another, or change anything of it?

There are two worlds: in one the first project is alone, in the other a second project has some of everything. Whatever
a user of the first project asks, with its own ids or with those of the second, both worlds must answer alike: same
status, same headers, same body, same counts. And nothing of the second project may change.
"""

import json
import re

import pytest
import sqlalchemy as sa

from karbor.db.tables import METADATA
from tests.fuzz import requests
from tests.fuzz.population import MARKS, known
from tests.fuzz.world import login, make_world
from tests.support.api import OTHER_PROJECT, PROJECT

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
SECRET = re.compile(r'(?<="token":")[\w-]{43}(?=")|(?<=/)[\w-]{43}(?=")')
ENDPOINTS = [pytest.param(endpoint, id=f"{endpoint.method}-{endpoint.id}") for endpoint in requests.private()]
UNTOLD = {"x-openstack-request-id", "date"}


class Worlds:
    """The two worlds, asked the same."""

    def __init__(self, directory):
        self.alone = make_world(directory / "alone", PROJECT)
        self.crowded = make_world(directory / "crowded", PROJECT, OTHER_PROJECT)
        self.fixed = (
            set(UUID.findall(str([requests.ids_of(p) for p in MARKS]) + str(requests.unknown_ids()))) | EXPECTED
        )

    def ask(self, user, request):
        """The answer, which must be the same in both."""
        answers = [self._answer(world, user, request) for world in (self.alone, self.crowded)]
        assert answers[0] == answers[1], (user, request.what, request.endpoint.id)
        self.alone.clock.pass_time(1)
        self.crowded.clock.pass_time(1)
        return answers[0]

    def _answer(self, world, user, request):
        data = None if request.body is None else json.dumps(request.body).encode()
        headers = {**login(user), **request.headers}
        response = world.raw(request.endpoint.method, request.url, data=data, headers=headers)
        shown = {name.lower(): value for name, value in response.headers.items() if name.lower() not in UNTOLD}
        shown.pop("etag", None)  # a digest of the body, with ids that were made in it
        return response.status_int, self._fixed(response.text), shown, len(world.workers.told)

    def _fixed(self, text):
        """The text without secrets, and with ids that were made for this answer numbered: both worlds say the same."""
        made = {}

        def number(match):
            found = match.group()
            return found if found in self.fixed else made.setdefault(found, f"made-{len(made)}")

        return UUID.sub(number, SECRET.sub("secret", text))

    def second(self):
        """Everything that belongs to the second project."""
        found = {}
        with self.crowded.database.read() as rows:
            for table in METADATA.sorted_tables:
                if "project_id" in table.c:
                    mine = sa.select(table).where(table.c.project_id == OTHER_PROJECT).order_by(*table.primary_key)
                    found[table.name] = [tuple(row) for row in rows.connection.execute(mine)]
        return found

    def close(self):
        for world in (self.alone, self.crowded):
            world.database.dispose()


EXPECTED = {known(PROJECT, noun, number) for noun in requests.OWNED.values() for number in range(10)}


@pytest.fixture
def worlds(tmp_path):
    made = Worlds(tmp_path)
    yield made
    made.close()


def test_every_endpoint_is_told_of():
    """A new endpoint, parameter or list needs a line in tests/fuzz/requests.py, or nobody tries it."""
    for endpoint in requests.private():
        named = set(endpoint.path_parameters) | {n for n in endpoint.operation.query_parameters if n.endswith("_id")}
        untold = named - requests.OWNED.keys() - requests.SHARED.keys() - set(requests.PROJECTS) - {"project_id"}
        assert not untold, (endpoint.id, untold)
        assert bool(endpoint.operation.body) == (endpoint.id in requests.BODIES), endpoint.id
        if "marker" in endpoint.operation.query_parameters:
            assert endpoint.path.rsplit("/", 1)[-1] in requests.COLLECTIONS, endpoint.id
    assert set(requests.BODIES) <= {endpoint.id for endpoint in requests.private()}


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_the_other_tenant_is_not_there(worlds, endpoint):
    """Whatever id is named, and whoever asks: the second project cannot be told from one that does not exist."""
    before = worlds.second()
    assert not {name for name, found in before.items() if not found}, "nothing could leak from these tables"
    theirs = requests.foreign(endpoint, requests.ids_of(OTHER_PROJECT, endpoint), "somebody")
    nothing = requests.foreign(endpoint, requests.unknown_ids(), "somebody")
    for other, none in zip(theirs, nothing, strict=True):
        for world in (worlds.alone, worlds.crowded):
            assert told(world, other) == told(world, none), other.what
    for user in ("rita", "ann"):
        for request in requests.foreign(endpoint, requests.ids_of(OTHER_PROJECT, endpoint), "the other"):
            status, text, headers, _told = worlds.ask(user, request)
            assert MARKS[OTHER_PROJECT] not in text + str(headers), (user, request.what)
            assert_refused(request, status)
    for user in ("rita", "root", "ann"):
        status, text, headers, _told = worlds.ask(user, requests.own(endpoint))
        assert MARKS[OTHER_PROJECT] not in text + str(headers), user
        assert_meant(user, endpoint, status, text)
    assert worlds.second() == before


def assert_refused(request, status):
    """An id of another in the path or the body is refused; in a query string it finds nothing."""
    if "filter" not in request.what and "tenants" not in request.what and "?" not in request.url:
        assert status in (400, 403, 404), (request.what, status)


def assert_meant(user, endpoint, status, text):
    """A request about one's own things must succeed, or the comparison says nothing."""
    role = endpoint.operation.role
    if (user, role) == ("rita", "member") or (user != "root" and role == "admin"):
        assert status == 403, (user, endpoint.id, status, text)
    elif not (endpoint.method != "GET" and user == "ann"):  # root was first
        assert status < 300, (user, endpoint.id, status, text)


def told(world, request):
    """Status and text of an answer, whatever id was named."""
    data = None if request.body is None else json.dumps(request.body).encode()
    response = world.raw(request.endpoint.method, request.url, data=data, headers=login("ann"))
    text = UUID.sub("ID", response.text).replace(OTHER_PROJECT, "PROJECT").replace("f" * 32, "PROJECT")
    return response.status_int, text
