# SPDX-License-Identifier: Apache-2.0
"""What does a client meet on a bad day? An HTTP server of ours that fails on command, before any other one.

``answer`` makes the answers: ``forward`` asks a real server, a twin in memory makes its own. Faults hit the next
requests that fit, each once:

    status     is answered instead, with ``headers``; the request has no effect
    lost       the request takes effect, and the connection ends without an answer
    truncated  half of the body comes, then the connection ends
    hang       no answer comes until the test is over
    closed     the connection ends before the request is read
    stale      the answer of the last request with the same method and path that was answered is given again
"""

import http.client
import ipaddress
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

LOCAL = "127.0.0.1"


@dataclass(frozen=True)
class Request:
    method: str
    path: str  # with the query
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass
class Fault:
    kind: str
    method: str
    part: str  # of the path
    left: int
    reply: Reply


class HttpTwin:
    """A running twin. ``requests`` lists (method, path) of all that came."""

    def __init__(self, answer: Callable[[Request], Reply], *, context: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.requests: list[tuple[str, str]] = []
        self.over = threading.Event()
        self._faults: list[Fault] = []
        self._last: dict[tuple[str, str], Reply] = {}
        self._lock = threading.Lock()
        self._server = _Server((LOCAL, 0), _Handler)
        self._server.twin = self
        self.url = f"http{'s' if context else ''}://{LOCAL}:{self._server.server_port}"
        if context:
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def fail(self, kind: str, *, method: str = "", part: str = "", times: int = 1, **reply) -> None:
        """``reply``: status, headers and body where ``kind`` is "status"."""
        with self._lock:
            self._faults.append(Fault(kind, method, part, times, Reply(**({"status": 503} | reply))))

    def heal(self) -> None:
        with self._lock:
            self._faults = []

    def count(self, method: str, part: str = "") -> int:
        return sum(one == method and part in path for one, path in self.requests)

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def fault(self, request: Request) -> Fault | None:
        with self._lock:
            self.requests.append((request.method, request.path))
            for fault in self._faults:
                if fault.left and fault.method in ("", request.method) and fault.part in request.path:
                    fault.left -= 1
                    return fault
        return None

    def replied(self, request: Request, *, stale: bool) -> Reply:
        key = (request.method, request.path)
        if not stale or key not in self._last:
            self._last[key] = self.answer(request)
        return self._last[key]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    twin: HttpTwin


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_arguments: object) -> None:
        return

    def handle(self) -> None:
        with suppress(OSError):  # the client went away, which is what some faults are about
            super().handle()

    def handle_expect_100(self) -> bool:
        self.send_response_only(100)
        self.end_headers()
        self.wfile.flush()
        return True

    def _serve(self) -> None:
        twin = self.server.twin
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, self.path, self.headers, body)
        fault = twin.fault(request)
        kind = fault.kind if fault else ""
        if kind in ("closed", "hang"):
            if kind == "hang":
                twin.over.wait()
            self.close_connection = True
            return
        reply = fault.reply if kind == "status" else twin.replied(request, stale=kind == "stale")
        if kind == "lost":
            self.close_connection = True
            return
        self._send(reply, cut=kind == "truncated")

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _serve  # noqa: N815

    def _send(self, reply: Reply, *, cut: bool) -> None:
        names = {name.lower() for name in reply.headers}
        self.send_response_only(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if "date" not in names:
            self.send_header("Date", self.date_time_string())
        if "content-length" not in names and reply.status != 204:
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body[: len(reply.body) // 2] if cut else reply.body)
        if cut:
            self.close_connection = True


def forward(port: int) -> Callable[[Request], Reply]:
    """Let the server on this port answer."""

    def answer(request: Request) -> Reply:
        connection = http.client.HTTPConnection(LOCAL, port, timeout=300)
        try:
            connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.items():
                if name.lower() not in ("connection", "expect"):
                    connection.putheader(name, value)
            connection.endheaders(request.body)
            found = connection.getresponse()
            body = found.read()
            kept = {name: value for name, value in found.getheaders() if name.lower() not in _OF_ONE_CONNECTION}
            if request.method == "HEAD":
                kept["Content-Length"] = found.getheader("Content-Length") or "0"
            return Reply(found.status, kept, body)
        finally:
            connection.close()

    return answer


_OF_ONE_CONNECTION = ("connection", "keep-alive", "transfer-encoding", "content-length")


@contextmanager
def httptwin(answer: Callable[[Request], Reply], *, context: ssl.SSLContext | None = None) -> Iterator[HttpTwin]:
    """A twin that ends with the test; with ``context`` (see ``certified``) it speaks TLS."""
    twin = HttpTwin(answer, context=context)
    try:
        yield twin
    finally:
        twin.close()


def certified(directory: Path) -> tuple[ssl.SSLContext, Path]:
    """What a server of the loopback needs for TLS, and the file by which clients know it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, LOCAL)])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(datetime.now(UTC) - timedelta(days=1)).not_valid_after(
        datetime.now(UTC) + timedelta(days=2)
    )
    places = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOCAL))])
    signed = made.add_extension(places, critical=False).sign(key, hashes.SHA256())
    known, secret = directory / "known.pem", directory / "secret.pem"
    known.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(known, secret)
    return context, known
