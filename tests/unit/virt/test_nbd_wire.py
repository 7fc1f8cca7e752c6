# SPDX-License-Identifier: Apache-2.0
"""Does a handshake end with a plain reason, whatever the other side says?"""

import socket
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karbor.model import errors
from karbor.virt import nbd_wire

GREETING = b"NBDMAGICIHAVEOPT" + struct.pack(">H", 3)
REPLY_MAGIC = 0x3E889045565A9


def reply(option: int, kind: int, data: bytes = b"") -> bytes:
    return struct.pack(">QIII", REPLY_MAGIC, option, kind, len(data)) + data


def shake(tmp_path, said: bytes, contexts=()) -> nbd_wire.Export:
    """Shake hands with a server that says all it has to say at once."""
    path = str(tmp_path / "s.sock")
    done = threading.Event()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            with listener.accept()[0] as peer:
                peer.sendall(said)
                done.wait(20)

        server = threading.Thread(target=serve)
        server.start()
        wire = nbd_wire.Wire(path, 0.2)
        try:
            return nbd_wire.negotiate(wire, "disk", contexts)
        finally:
            done.set()
            server.join()
            wire.close()


def test_size_flags_and_granted_contexts_are_taken_from_the_server(tmp_path):
    granted = reply(10, 4, struct.pack(">I", 7) + b"base:allocation") + reply(10, 1)
    export = reply(7, 3, struct.pack(">HQH", 0, 1 << 40, 5)) + reply(7, 1)
    found = shake(tmp_path, GREETING + reply(8, 1) + granted + export, ("base:allocation", "other"))
    assert found == nbd_wire.Export(1 << 40, 5, {7: "base:allocation"})


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.2p1", "fixed newstyle", id="another protocol"),
        pytest.param(b"NBDMAGIC" + struct.pack(">QH", 0x420281861253, 0), "fixed newstyle", id="old style"),
        pytest.param(GREETING, "in time", id="silent"),
        pytest.param(GREETING + reply(8, (1 << 31) + 1), "refuses option 8", id="no structured replies"),
        pytest.param(GREETING + reply(7, 1), "makes no sense", id="answers another option"),
        pytest.param(GREETING + bytes(20), "makes no sense", id="rubbish"),
        pytest.param(GREETING + struct.pack(">QIII", REPLY_MAGIC, 8, 3, 1 << 30), "makes no sense", id="huge"),
        pytest.param(GREETING + reply(8, 3) * 70, "does not end", id="endless"),
        pytest.param(GREETING + reply(8, 1) + reply(7, (1 << 31) + 6, b"no such"), "no such", id="unknown export"),
        pytest.param(GREETING + reply(8, 1) + reply(7, 1), "how large", id="no size"),
    ],
)
def test_a_handshake_that_fails_says_why(tmp_path, said, cause):
    with pytest.raises(errors.CaptureLost) as caught:
        shake(tmp_path, said)
    assert cause in caught.value.detail


@given(parts=st.lists(st.binary(max_size=40), max_size=12), most=st.integers(1, 50))
def test_parts_are_sent_in_portions_that_hold_all_of_them_in_order(parts, most):
    at = 0
    for offset, length, held in nbd_wire.portions(parts, most):
        assert (offset, length) == (at, sum(map(len, held)))
        assert 0 < length <= most
        assert b"".join(held) == b"".join(parts)[at : at + length]
        at += length
    assert at == sum(map(len, parts))


def test_what_a_socket_takes_in_pieces_arrives_whole(tmp_path):
    path = str(tmp_path / "s.sock")
    parts = [b"head", b"", bytes(range(256)) * 8192, b"tail" * 100_000]
    found = bytearray()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            with listener.accept()[0] as peer:
                while data := peer.recv(65536):
                    found.extend(data)

        server = threading.Thread(target=serve)
        server.start()
        wire = nbd_wire.Wire(path, 60)
        wire.send(*parts)
        wire.close()
        server.join()
    assert found == b"".join(parts)
