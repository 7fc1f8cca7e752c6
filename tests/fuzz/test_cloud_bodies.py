# SPDX-License-Identifier: Apache-2.0
"""Is everything odd in a selection, a mapping, a target or the parameters of a restore refused as the user's fault?

What the API takes goes to the real code of the workers. tests/README.rst tells how to send more.
"""

import json
import os

import hypothesis
import pytest
from hypothesis import strategies as st

from karbor.clients.sealedlogins import LoginSeal
from karbor.heat.options import STACK_TYPE, StackOptions
from karbor.model.mapping import KINDS, MAPPING_TYPE
from karbor.plugins.resources.image_data import ImageDataProtection
from karbor.plugins.resources.server_protection import ServerProtection
from karbor.plugins.resources.volume_data import VolumeDataProtection
from karbor.protection.restorescope import SCOPE_TYPE, ScopeOptions
from tests.functional.test_cloud import PROVIDER
from tests.fuzz.cloudworld import CloudWorld
from tests.support.api import SERVER as SERVER_ID
from tests.support.api import Api
from tests.support.keystone_twin import keystone_twin
from tests.unit.api.test_targets import Caller

EXAMPLES = int(os.environ.get("KARBOR_FUZZ_EXAMPLES", "0"))
few = hypothesis.settings(
    max_examples=EXAMPLES or 40,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
SERVER, VOLUME, IMAGE = "OS::Nova::Server", "OS::Cinder::Volume", "OS::Glance::Image"

ODD = (
    "", " ", "*", "[", "[!", "[z-a]", "?" * 300, "*a" * 120, "\x00", "\ud83d\ude00", "../../etc/passwd", "a/b", "%2e",
    "null", "{}", "[]", '{"shop":', "[" * 3000, '{"shop": {"x": NaN}}', '{"s": {"p": [[{}]]}}', "1e999", "no such",
    "11111111-1111-4111-8111-111111111111", "sealed:x", "-1", "true", "recovered-*", "web", "inner",
)  # fmt: skip
text = st.sampled_from(ODD) | st.text(max_size=20)
ids = text | st.uuids().map(str) | st.uuids().map(lambda id_: id_.hex)
numbers = st.integers() | st.sampled_from([10**30, -(10**400), 2**63]) | st.floats()
leaf = text | numbers | st.booleans() | st.none()
anything = st.recursive(
    leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=5
)


def mostly(good):
    """What has the right shape, with odd texts in it; seldom anything at all."""
    return st.integers(0, 24).flatmap(lambda drawn: good if drawn else anything)


def spoilt(good):
    """An object; seldom with something more in it that nobody knows."""
    names = st.sampled_from(["junk", "#", f"{VOLUME}#nonsense", "OS::Nope::Nothing"])
    more = st.builds(lambda one, name, value: {**one, name: value}, good, names, st.just({}) | anything)
    return st.integers(0, 14).flatmap(lambda drawn: good if drawn else more)


pattern = {
    "tags": mostly(st.lists(text, max_size=3)),
    "metadata": mostly(st.dictionaries(text, mostly(text), max_size=3)),
    "name": mostly(text),
}
choice = spoilt(
    st.fixed_dictionaries(
        {"type": mostly(st.sampled_from([SERVER, VOLUME, IMAGE]))},
        optional={
            **pattern,
            "exclude": mostly(
                st.fixed_dictionaries({}, optional={**pattern, "ids": mostly(st.lists(ids, max_size=2))})
            ),
        },
    )
)
mapping = st.dictionaries(
    st.sampled_from([*KINDS]), mostly(st.dictionaries(text, mostly(text), max_size=3)), max_size=4
)


def options(declared):
    """Values for options of a plug-in, of their types."""
    kinds = {bool: st.booleans(), int: numbers, float: numbers, str: text}
    given = {
        name: mostly(st.sampled_from(entry.choices) if entry.choices else kinds[entry.type])
        for name, entry in declared.items()
    }
    return spoilt(st.fixed_dictionaries({}, optional=given))


parameters = spoilt(
    st.fixed_dictionaries(
        {},
        optional={
            MAPPING_TYPE: mostly(mapping),
            STACK_TYPE: mostly(options(StackOptions.declared)),
            SCOPE_TYPE: mostly(options(ScopeOptions.declared)),
            SERVER: mostly(options(ServerProtection.Restore.declared)),
            VOLUME: mostly(options(VolumeDataProtection.Restore.declared)),
            IMAGE: mostly(options(ImageDataProtection.Restore.declared)),
            f"{SERVER}#11111111-1111-4111-8111-111111111111": mostly(options(ServerProtection.Restore.declared)),
        },
    )
)
of_a_plan = spoilt(
    st.fixed_dictionaries(
        {},
        optional={
            SERVER: mostly(options(ServerProtection.Protect.declared)),
            VOLUME: mostly(options(VolumeDataProtection.Protect.declared)),
            IMAGE: mostly(options(ImageDataProtection.Protect.declared)),
        },
    )
)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    found = CloudWorld(tmp_path_factory.mktemp("cloud"))
    yield found
    found.close()


@few
@hypothesis.given(selection=mostly(st.lists(choice, min_size=1, max_size=3)), given=mostly(of_a_plan))
def test_odd_selections_are_refused_or_can_be_shown_changed_and_run(world, selection, given):
    plan = {"name": "p", "provider_id": PROVIDER, "selection": selection}
    status, answer = world.send("POST", "/plans", {"plan": plan})
    if status == 200:
        id_ = answer["plan"]["id"]
        assert world.send("GET", f"/plans/{id_}")[1]["plan"]["selection"] == answer["plan"]["selection"]
        world.send("PUT", f"/plans/{id_}", {"plan": {"selection": selection}})
        body = {"checkpoint": {"plan_id": id_, "dry_run": True}}
        status, _told = world.send("POST", f"/providers/{PROVIDER}/checkpoints", body)
        assert status == 200
    named = {"name": "p", "provider_id": PROVIDER, "resources": [world.named()], "parameters": given}
    status, answer = world.send("POST", "/plans", {"plan": named})
    if status == 200:
        body = {"checkpoint": {"plan_id": answer["plan"]["id"], "dry_run": True}}
        assert world.send("POST", f"/providers/{PROVIDER}/checkpoints", body)[0] == 200


@few
@hypothesis.given(given=mostly(parameters))
def test_odd_parameters_of_a_restore_are_refused_or_told_as_conflicts(world, given):
    status, answer = world.restore(given, dry_run=True)
    if status == 200:
        assert json.dumps(answer["restore_plan"]["conflicts"], allow_nan=False)


@few
@hypothesis.given(given=mostly(parameters))
def test_what_is_taken_of_a_restore_can_be_shown_and_called_off(world, given):
    status, answer = world.restore(given)
    if status == 200:
        id_ = answer["restore"]["id"]
        assert world.send("GET", f"/restores/{id_}")[1]["restore"]["id"] == id_
        assert world.send("POST", f"/restores/{id_}/action", {"cancel": {}})[0] == 202


NAMES = ("type", "username", "password", "project_name", "project_id", "application_credential_id", "region_name")
targets = st.sampled_from(["http://there:5000/v3", "http://[::1", "//", "file:///etc", "http://u@h/"]) | text
logins = spoilt(st.fixed_dictionaries({}, optional={name: mostly(text) for name in NAMES}))


@few
@hypothesis.given(target=mostly(targets), auth=mostly(logins), dry_run=st.booleans())
def test_odd_targets_are_refused_where_there_is_no_keystone(world, target, auth, dry_run):
    world.restore({}, restore_target=target, restore_auth=auth, dry_run=dry_run)


@pytest.fixture(scope="module")
def caller(tmp_path_factory):
    """Somebody who may restore to another cloud."""
    root = tmp_path_factory.mktemp("targets")
    with keystone_twin() as ours, keystone_twin() as theirs:
        LoginSeal.create(root / "login.key")
        (root / "karbor.conf").write_text(
            f"{ours.settings()}[clients]\nattempts = 1\nrestore_targets = {theirs.url}\n"
            f"login_key_file = {root}/login.key\n"
        )
        api = Api(root, files=[root / "karbor.conf"], project_work_per_minute=0)
        api.workers.add("alpha", "OS::Nova::Server", SERVER_ID)
        found = Caller(api, ours)
        found.places = [ours.url, theirs.url, theirs.url.removesuffix("/v3")]
        yield found
        api.database.dispose()


@few
@hypothesis.given(
    place=st.integers(0, 3), odd=mostly(targets), auth=mostly(logins), dry_run=st.booleans(), good=st.booleans()
)
def test_odd_logins_are_refused_where_there_is_a_keystone(caller, place, odd, auth, dry_run, good):
    target = caller.places[place] if place < len(caller.places) else odd
    if good and isinstance(auth, dict):
        auth = {**auth, "username": "bob", "password": "secret", "type": "password"}
    status, answer = caller.ask(target, auth, dry_run=dry_run)
    assert status < 500, answer
    if status >= 400:
        (fault,) = answer.values()
        assert fault["code"] == status and fault["message"]


def test_what_is_right_is_taken(world):
    """Or the tests above would be about nothing."""
    selection = [{"type": SERVER, "name": "w*", "exclude": {"tags": ["x"]}}]
    status, answer = world.send(
        "POST", "/plans", {"plan": {"name": "p", "provider_id": PROVIDER, "selection": selection}}
    )
    assert status == 200, answer
    body = {"checkpoint": {"plan_id": answer["plan"]["id"], "dry_run": True}}
    _status, told = world.send("POST", f"/providers/{PROVIDER}/checkpoints", body)
    assert [one["name"] for one in told["checkpoint_plan"]["chosen"]["resources"]] == ["web"], str(
        told["checkpoint_plan"]["conflicts"]
    )
    given = {MAPPING_TYPE: {"names": {"*": "new-*"}}, STACK_TYPE: {"stack_parameters": '{"shop": {}}'}}
    status, told = world.restore(given, dry_run=True)
    assert status == 200 and told["restore_plan"]["conflicts"] == [], told
    assert "new-web" in {one["name"] for one in told["restore_plan"]["creates"]}
