# SPDX-License-Identifier: Apache-2.0
"""Do declared calls reach a server over the in-memory transport, and only they?"""

import logging
import socket
import threading

import oslo_messaging
import pytest
from oslo_config import cfg
from oslo_context import context as current

from karbor.common import context
from karbor.model import errors
from karbor.rpc import client, interface, server, transport


class Echo:
    """A small interface."""

    TOPIC, VERSION = "echo", "1.0"

    @interface.method("call")
    def double(self, number: int) -> int:
        raise NotImplementedError

    @interface.method("call")
    def missing(self, name: str) -> None:
        raise NotImplementedError

    @interface.method("call")
    def whose(self) -> dict[str, str]:
        raise NotImplementedError

    @interface.method("call", for_user=True)
    def as_user(self) -> list[str | None]:
        raise NotImplementedError

    @interface.method("call")
    def as_nobody(self) -> str | None:
        raise NotImplementedError

    @interface.method("cast")
    def wake(self, name: str) -> None:
        raise NotImplementedError


class Server:
    """Its implementation."""

    def __init__(self):
        self.woken = threading.Event()

    def double(self, number):
        return {"twice": number * 2}

    def missing(self, name):
        raise errors.ResourceNotFound(f"There is no {name}.", detail="secret detail")

    def whose(self):
        now = current.get_current()
        return {"request_id": now.request_id, "global_request_id": now.global_request_id}

    def as_user(self):
        self.context = current.get_current()
        return [self.context.auth_token, str(self.context.get_logging_values())]

    def as_nobody(self):
        return current.get_current().auth_token

    def wake(self, name):
        self.woken.set()

    def hidden(self):
        return "never"


@pytest.fixture
def echo():
    conf = cfg.CONF
    conf([], project="karbor-test")
    messaging = oslo_messaging.get_rpc_transport(
        conf, url=transport.EMBEDDED_URL, allowed_remote_exmods=transport.ERRORS_FROM
    )
    implementation = Server()
    running = server.make_server(Echo, implementation, messaging, host="here")
    running.start()
    yield client.make_client(Echo, messaging, timeout=10), implementation
    running.stop()
    running.wait()
    messaging.cleanup()


def test_a_call_returns_the_answer(echo):
    assert echo[0].double(21) == {"twice": 42}


def test_the_ids_of_a_request_go_with_its_calls(echo):
    ids = {"request_id": "req-1", "global_request_id": "req-2"}
    context.begin(**ids)
    assert echo[0].whose() == ids


def test_the_token_of_a_request_goes_with_calls_made_for_its_user_and_no_others(echo, caplog):
    caplog.set_level(logging.DEBUG)
    context.begin(request_id="req-1", auth_token="gAAAA-token")
    token, logged = echo[0].as_user()
    assert token == "gAAAA-token"
    assert "gAAAA-token" not in logged + caplog.text
    assert echo[0].as_nobody() is None


def test_the_token_is_forgotten_when_the_call_was_answered(echo):
    context.begin(request_id="req-1", auth_token="gAAAA-token")
    echo[0].as_user()
    assert echo[1].context.auth_token is None


def test_a_cast_reaches_the_server(echo):
    echo[0].wake("x")
    assert echo[1].woken.wait(10)


def test_an_error_of_ours_comes_back_as_itself(echo):
    with pytest.raises(errors.ResourceNotFound) as caught:
        echo[0].missing("disk")
    assert caught.value.message == "There is no disk." and caught.value.status == 404


def test_wrong_arguments_fail_at_the_caller(echo):
    with pytest.raises(TypeError):
        echo[0].double("a", "b")


def test_an_undeclared_method_cannot_be_called(echo):
    with pytest.raises(AttributeError):
        echo[0].hidden()


def test_a_server_with_another_signature_is_refused():
    class Wrong(Server):
        def double(self, other):
            return other

    with pytest.raises(errors.ConfigurationError):
        server._endpoint(Echo, Wrong())


def test_a_server_that_leaves_a_call_to_its_declaration_is_refused():
    class Forgetful(Echo):
        """Answers nothing."""

    with pytest.raises(errors.ConfigurationError, match="Forgetful does not answer the RPC method double"):
        server._endpoint(Echo, Forgetful())


def test_a_broker_counts_as_reachable_where_one_of_its_hosts_answers():
    conf = cfg.ConfigOpts()
    oslo_messaging.TransportURL.parse(conf)

    def reachable(url):
        conf.set_override("transport_url", url)
        return transport.is_reachable(conf, seconds=10)

    with socket.socket() as listens, socket.socket() as closed:
        listens.bind(("127.0.0.1", 0))
        listens.listen()
        closed.bind(("127.0.0.1", 0))
        good, bad = (f"u:p@127.0.0.1:{one.getsockname()[1]}" for one in (listens, closed))
        assert reachable(f"rabbit://{bad},{good}/")
        assert not reachable(f"rabbit://{bad}/")
        assert reachable(transport.EMBEDDED_URL)
