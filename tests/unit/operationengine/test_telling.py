# SPDX-License-Identifier: Apache-2.0
"""Do mails and webhooks say what is wrong, with nothing that a tenant could write into their heads?"""

import hashlib
import hmac
import json
import socketserver
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from karbor.model import errors
from karbor.operationengine.telling import SIGNATURE, Webhook, mail, open_channels
from tests.support.api import make_conf

TOLD = {
    "id": "1",
    "event": "raised",
    "plan_id": "p",
    "plan_name": "shop\r\nBcc: all@example.org",
    "project_id": "x",
    "provider_id": "y",
    "last_good_at": None,
    "due_at": "2026-01-02T03:04:05.000000",
    "reason": "There is no good checkpoint of the last 60 seconds.",
}
CLEARED = {**TOLD, "id": "2", "event": "cleared", "plan_name": "mail", "last_good_at": "2026-01-02T04:00:00.000000"}


class Hook(BaseHTTPRequestHandler):
    status = 204

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((body, self.headers[SIGNATURE]))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_given):
        """Nothing on the screen."""


class MailServer(socketserver.StreamRequestHandler):
    """Just enough of SMTP for one mail."""

    def handle(self):
        self.wfile.write(b"220 here\r\n")
        data = False
        while line := self.rfile.readline():
            self.server.got.append(line)
            if data:
                data = line != b".\r\n"
                if not data:
                    self.wfile.write(b"250 taken\r\n")
                continue
            data = line.upper().startswith(b"DATA")
            answers = {b"DATA": b"354 go on", b"QUIT": b"221 bye"}
            self.wfile.write(answers.get(line[:4].upper(), b"250 yes") + b"\r\n")


@contextmanager
def serving(make, handler):
    with make(("127.0.0.1", 0), handler) as server:
        server.got, server.status = [], 204
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield server
        server.shutdown()


def test_a_mail_says_first_what_is_wrong():
    found = mail([CLEARED, TOLD], more=3, sender="karbor@here", to=["ann@there", "bob@there"])
    assert found["Subject"] == "[karbor] no recent checkpoint: shop Bcc: all@example.org and 4 more"
    assert found["To"] == "ann@there, bob@there" and found["Bcc"] is None
    text = found.get_content()
    assert text.index("NO RECENT CHECKPOINT: plan shop Bcc") < text.index("Protected again: plan mail (p)")
    assert "3 more wait" in text and TOLD["reason"] in text
    assert "protected again" in mail([CLEARED], more=0, sender="a@b", to=["c@d"])["Subject"]


def test_a_webhook_gets_a_signed_body():
    with serving(ThreadingHTTPServer, Hook) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}/x"
        Webhook(url, "secret", timeout=60).send([TOLD], more=1)
        server.status = 302
        with pytest.raises(errors.Unavailable, match="302"):
            Webhook(url, "", timeout=60).send([TOLD], more=0)
    (body, signature), (_body, unsigned) = server.got
    assert json.loads(body) == {"version": "1.0", "alarms": [TOLD], "more": 1}
    assert signature == "sha256=" + hmac.new(b"secret", body, hashlib.sha256).hexdigest() and unsigned is None


def test_the_address_of_a_webhook_is_told_to_nobody():
    for url in ("http://127.0.0.1:1/hunter22", "hunter22://x"):
        with pytest.raises(errors.Unavailable) as caught:
            Webhook(url, "", timeout=60).send([TOLD], more=0)
        assert "hunter22" not in caught.value.operator_text()


def test_a_mail_gets_to_the_server():
    conf = make_conf()
    assert open_channels(conf) == []
    with serving(socketserver.ThreadingTCPServer, MailServer) as server:
        given = {"mail_host": "127.0.0.1", "mail_port": server.server_address[1], "mail_security": "none"}
        for name, value in {**given, "mail_to": ["ann@there"], "webhook_url": "http://127.0.0.1:1/"}.items():
            conf.set_override(name, value, group="alarms")
        channel, _webhook = open_channels(conf)
        channel.send([TOLD], more=0)
        conf.set_override("mail_security", "starttls", group="alarms")
        with pytest.raises(errors.Unavailable):
            channel.send([TOLD], more=0)  # never in clear where that was not asked for
    assert any(line.startswith(b"Subject: [karbor] no recent checkpoint") for line in server.got)
