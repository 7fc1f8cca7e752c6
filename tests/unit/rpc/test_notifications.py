# SPDX-License-Identifier: Apache-2.0
"""Are other systems told of every change, without secrets, and does the work never wait for them?"""

import json
import threading
from datetime import UTC, datetime
from pathlib import Path

import oslo_messaging
import pytest
from oslo_config import cfg

from karbor.model.alarm import PlanAlarm
from karbor.model.change import WORDS, Change
from karbor.model.checkpoint import Reason
from karbor.rpc import notifications
from karbor.rpc.notifications import COMMON, EVENTS, FIELDS, Notifications, open_notifications, payload_of
from tests.support import rows

PAGE = (Path(__file__).parents[3] / "doc/source/reference/notifications.rst").read_text()
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
THINGS = {
    "plan": rows.plan(),
    "checkpoint": rows.checkpoint(reason=Reason("web", "protect", "The URL nbd://u:hunter22@host failed.", "")),
    "restore": rows.restore(
        parameters={"T": {"restore_auth": "hunter22"}},
        restore_target="http://u:hunter22@cloud",
        resources_reason={f"T#{number}": "password=hunter22" for number in range(1000)},
    ),
    "verification": rows.verification(),
    "export": rows.export(),
    "alarm": PlanAlarm("plan-1", rows.PROJECT, "breached", AT, AT, reason="password=hunter22"),
    "job": rows.job(payload={"x": "hunter22"}),
}
each_noun = pytest.mark.parametrize("noun", WORDS)


def change(noun, word=None):
    return Change(noun, word or WORDS[noun][0], THINGS[noun], None, AT)


class SenderTwin:
    """Keeps what it is given; waits as long as it is told to."""

    def __init__(self):
        self.sent = []
        self.free = threading.Event()
        self.free.set()

    def info(self, _ctxt, event_type, payload):
        self.free.wait(60)
        self.sent.append(("INFO", event_type, payload))

    def error(self, _ctxt, event_type, payload):
        self.sent.append(("ERROR", event_type, payload))


@each_noun
def test_a_payload_has_what_is_declared_and_is_small_plain_json_without_secrets(noun):
    payload = payload_of(change(noun))
    assert set(payload) == {*COMMON, *FIELDS[noun]}
    text = json.dumps(payload)
    assert "hunter22" not in text
    assert len(text) < 4000


def test_every_type_and_every_field_is_on_the_page():
    assert [name for name in EVENTS if f"``{name}``" not in PAGE] == []
    named = {*COMMON, *(name for names in FIELDS.values() for name in names)}
    assert [name for name in named if f"\n``{name}``" not in PAGE] == []
    assert notifications.VERSION in PAGE


def test_messages_are_sent_in_order_and_bad_news_as_errors():
    sender = SenderTwin()
    ours = Notifications(sender)
    ours.start()
    ours.observe(change("checkpoint", "protecting"))
    ours.observe(change("checkpoint", "error"))
    ours.stop(60)
    assert [entry[:2] for entry in sender.sent] == [
        ("INFO", "karbor.checkpoint.protecting"),
        ("ERROR", "karbor.checkpoint.error"),
    ]


def test_a_broker_that_does_not_answer_holds_nobody_up():
    sender = SenderTwin()
    sender.free.clear()
    ours = Notifications(sender, waiting=3)
    for _ in range(10):
        ours.observe(change("job"))
    assert ours.dropped == 7
    ours.stop(0)
    sender.free.set()


def _conf(*drivers):
    conf = cfg.ConfigOpts()
    conf.register_opts([cfg.StrOpt("host", default="kvm1")])
    oslo_messaging.get_notification_transport(conf, url="kombu+memory:///")
    conf.set_override("transport_url", "kombu+memory:///", group="oslo_messaging_notifications")
    conf.set_override("driver", list(drivers), group="oslo_messaging_notifications")
    return conf


@pytest.mark.parametrize("drivers", [(), ("noop",)])
def test_nothing_is_sent_unless_a_driver_is_named(drivers):
    assert open_notifications(_conf(*drivers)) is None


def test_what_is_sent_is_what_a_listener_of_oslo_messaging_gets():
    found = threading.Event()
    got = []

    class Endpoint:
        def info(self, _ctxt, publisher_id, event_type, payload, _metadata):
            got.append((publisher_id, event_type, payload["id"]))
            found.set()

    conf = _conf("messagingv2")
    listener = oslo_messaging.get_notification_listener(
        oslo_messaging.get_notification_transport(conf), [oslo_messaging.Target(topic="notifications")], [Endpoint()]
    )
    listener.start()
    ours = open_notifications(conf)
    ours.start()
    ours.observe(change("plan"))
    assert found.wait(60)
    ours.stop()
    listener.stop()
    listener.wait()
    assert got == [("karbor.kvm1", "karbor.plan.created", "plan-1")]
