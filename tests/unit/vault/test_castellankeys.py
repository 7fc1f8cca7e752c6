# SPDX-License-Identifier: Apache-2.0
"""Does a master key come from a key manager, and does every failure of one say what is wrong?"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from castellan.common import exception

from karbor.model import errors
from karbor.vault.castellankeys import CastellanKeys
from karbor.vault.keys import MasterKey
from tests.support import secretkeeper

SECRET = bytes(range(32))


@pytest.fixture
def manager(tmp_path):
    secretkeeper.SECRETS.clear()
    yield CastellanKeys(secretkeeper.settings(tmp_path))
    secretkeeper.SECRETS.clear()


@pytest.mark.parametrize("fault", [secretkeeper.AWAY, secretkeeper.BROKEN, ConnectionRefusedError("nobody there")])
def test_what_may_pass_is_tried_again(manager, fault):
    secretkeeper.SECRETS["one"] = fault
    with pytest.raises(errors.KeyManagerUnavailable) as told:
        manager.load("one")
    assert str(fault) in told.value.detail


@pytest.mark.parametrize("fault", [secretkeeper.FORBIDDEN, exception.Forbidden(), ValueError("no id of a secret")])
def test_what_does_not_pass_is_not(manager, fault):
    secretkeeper.SECRETS["one"] = fault
    with pytest.raises(errors.KeyUnavailable) as told:
        manager.load("one")
    assert told.value.permanent


@pytest.mark.parametrize("form", [b"", b"short", b"\xff" * 31])
def test_a_secret_that_is_no_key(manager, form):
    secretkeeper.SECRETS["one"] = form
    with pytest.raises(errors.ConfigurationError):
        manager.load("one")


def test_answers_that_never_come_are_bounded(tmp_path):
    hanging = secretkeeper.SECRETS["one"] = secretkeeper.Hanging()
    manager = CastellanKeys(secretkeeper.settings(tmp_path), seconds=0.01)
    before = threading.active_count()
    for _ in range(40):
        with pytest.raises(errors.KeyManagerUnavailable):
            manager.load("one")
    assert threading.active_count() - before <= 16
    hanging.over.set()
    secretkeeper.SECRETS["one"] = SECRET
    assert CastellanKeys(secretkeeper.settings(tmp_path)).load("one") == MasterKey(SECRET)
    secretkeeper.SECRETS.clear()


@pytest.mark.parametrize("text", [None, "no settings", "[key_manager]\nbackend = nothing.Such\n"])
def test_settings_that_cannot_be_used(tmp_path, text):
    path = tmp_path / "castellan.conf"
    if text is not None:
        path.write_text(text)
    with pytest.raises(errors.ConfigurationError):
        CastellanKeys(path)


class KeyValueStore(BaseHTTPRequestHandler):
    """The part of HashiCorp Vault's API (secrets engine kv, version 2) that castellan reads a secret with."""

    def do_GET(self):
        known = self.path.split("?")[0] == "/v1/secret/data/the-key" and self.headers["X-Vault-Token"] == "token"
        secret = {"type": "opaque", "value": SECRET.hex(), "name": None, "created": 1700000000}
        body = json.dumps({"data": {"data": secret}} if known else {"errors": []}).encode()
        self.send_response(200 if known else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Quiet."""


def test_the_driver_for_hashicorp_vault_finds_a_key(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), KeyValueStore)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        path = tmp_path / "castellan.conf"
        url = f"http://127.0.0.1:{server.server_port}"
        path.write_text(f"[key_manager]\nbackend = vault\n[vault]\nvault_url = {url}\nroot_token_id = token\n")
        manager = CastellanKeys(path)
        assert manager.load("the-key") == MasterKey(SECRET)
        with pytest.raises(errors.KeyUnavailable):
            manager.load("another")
    finally:
        server.shutdown()
        server.server_close()
    with pytest.raises(errors.KeyUnavailable):
        manager.load("the-key")
