# SPDX-License-Identifier: Apache-2.0
"""Does a master key come from a key manager, and does every failure of one say what is wrong?"""

import base64
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

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


@pytest.mark.parametrize("form", [SECRET, SECRET.hex().encode() + b"\n", base64.b64encode(SECRET)])
def test_a_key_in_any_form_is_found(manager, form):
    secretkeeper.SECRETS["one"] = form
    assert manager.load("one") == MasterKey(SECRET)


def test_no_such_secret(manager):
    with pytest.raises(errors.KeyUnavailable):
        manager.load("none")


def test_a_manager_that_cannot_be_reached(manager):
    secretkeeper.SECRETS["one"] = ConnectionRefusedError("nobody there")
    with pytest.raises(errors.KeyUnavailable) as told:
        manager.load("one")
    assert "nobody there" in told.value.detail


@pytest.mark.parametrize("form", [b"", b"short", b"\xff" * 31, b"x" * 64])
def test_a_secret_that_is_no_key(manager, form):
    secretkeeper.SECRETS["one"] = form
    with pytest.raises(errors.ConfigurationError):
        manager.load("one")


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
