# SPDX-License-Identifier: Apache-2.0
"""Is every notification heard until it was taken, and is it clear whose it is?"""

import threading

import oslo_messaging
import pytest
from oslo_config import cfg
from oslo_context.context import RequestContext

from karbor import conf as settings
from karbor.rpc.listener import Told, open_listener, read

VERSIONED = {
    "nova_object.name": "InstanceCreatePayload",
    "nova_object.data": {
        "tenant_id": "p1",
        "flavor": {"nova_object.data": {"memory_mb": 512}},
        "networks": [{"nova_object.data": {"mac": "x"}}],
    },
}


def _read(payload, *, context=None, type_="compute.instance.create.end", id="m1"):
    return read(context or {}, type_, payload, {"message_id": id})


@pytest.mark.parametrize(
    ("payload", "context", "owner"),
    [
        ({"tenant_id": "p1"}, {"project_id": "admin"}, "p1"),
        ({"project_id": "p1", "metadata": {"tenant_id": "p2"}}, {}, "p1"),
        (VERSIONED, {"project_id": "admin"}, "p1"),
        ({"owner": "p1"}, {}, "p1"),
        ({"compute": {"project_id": "p1"}}, {"project_id": "admin"}, "p1"),
        ({"metadata": {"tenant_id": "p2"}}, {"project_id": "p1"}, "p1"),
        ({"metadata": {"tenant_id": "p2"}}, {}, None),
        ({"tenant_id": 5}, {"project_id": None}, None),
    ],
)
def test_it_belongs_to_the_owner_of_the_thing_and_tenants_cannot_name_another(payload, context, owner):
    assert _read(payload, context=context).project_id == owner


def test_wrappers_of_versioned_objects_are_taken_off():
    assert _read(VERSIONED).payload == {
        "tenant_id": "p1",
        "flavor": {"memory_mb": 512},
        "networks": [{"mac": "x"}],
    }


@pytest.mark.parametrize(
    "wrong", [{"payload": "text"}, {"payload": {}, "id": None}, {"payload": {}, "type_": None}, {"payload": [1]}]
)
def test_what_is_no_notification_is_left(wrong):
    assert _read(**wrong) is None


def test_a_payload_may_be_nested_as_deep_as_it_likes():
    deep = {}
    for _level in range(500):
        deep = {"a": deep}
    assert _read({"tenant_id": "p1", "deep": deep}).project_id == "p1"


def _conf(topics):
    conf = cfg.ConfigOpts()
    settings.register_opts(conf)
    conf([], project="karbor", default_config_files=[], default_config_dirs=[])
    oslo_messaging.get_notification_transport(conf, url="kombu+memory:///")
    conf.set_override("transport_url", "kombu+memory:///", group="oslo_messaging_notifications")
    conf.set_override("notification_topics", topics, group="operationengine")
    conf.set_override("notification_exchanges", ["openstack"], group="operationengine")
    return conf


def test_without_topics_nobody_listens():
    assert open_listener(_conf([]), lambda told: True) is None


def test_what_was_not_taken_comes_again_under_the_same_id_and_what_was_taken_does_not():
    heard, enough = [], threading.Event()

    def hear(told):
        heard.append(told)
        types = [one.type for one in heard]
        if types.count("compute.instance.delete.start") == 2 and "volume.create.end" in types:
            enough.set()
        return types.count(told.type) > 1 or told.type == "volume.create.end"

    conf = _conf(["told"])
    listener = open_listener(conf, hear)
    listener.start()
    transport = oslo_messaging.get_notification_transport(conf)
    notifier = oslo_messaging.Notifier(transport, publisher_id="compute.host", driver="messagingv2", topics=["told"])
    notifier.info({}, "compute.instance.delete.start", {"tenant_id": "p1", "state": "active"})
    notifier.error(RequestContext(project_id="p2", overwrite=False), "volume.create.end", {"size": 1})
    assert enough.wait(120)
    listener.stop()
    first = [told for told in heard if told.type.startswith("compute")]
    assert len(heard) == 3 and len({told.id for told in first}) == 1
    payload = {"tenant_id": "p1", "state": "active"}
    assert first[-1] == Told(first[-1].id, "compute.instance.delete.start", "p1", payload)
    last = next(told for told in heard if told.type.startswith("volume"))
    assert (last.project_id, last.payload) == ("p2", {"size": 1})
