# SPDX-License-Identifier: Apache-2.0
"""What do a server and a client agree on, and what does the server answer on the way?"""

import io
import struct

import pytest

from karbor.virt import nbd_wire as wire
from karbor.virt.nbd_handshake import ALLOCATION_ID, FLAGS, MAXIMUM, Agreed, Handshake, Hangup

SIZES = {"vda": 1 << 40, "vdb": 512}
LIST, INFO, LIST_META = 3, 6, 9
ACK, SERVER = wire.REP_ACK, 2


def text(value):
    return struct.pack(">I", len(value)) + value


def option(number, data=b""):
    return struct.pack(">QII", wire.OPTION_MAGIC, number, len(data)) + data


def go(name, number=wire.OPT_GO):
    return option(number, text(name) + struct.pack(">HH", 1, 3))


def meta(name, *queries, number=wire.OPT_SET_META):
    return option(number, text(name) + struct.pack(">I", len(queries)) + b"".join(map(text, queries)))


STRUCTURED = option(wire.OPT_STRUCTURED)


def shake(*said, sizes=SIZES, flags=3):
    """What was agreed (None: the server hung up), and the replies: (option, kind, data)."""
    source = io.BytesIO(struct.pack(">I", flags) + b"".join(said))
    answered = io.BytesIO()

    def receive(length):
        data = source.read(length)
        if len(data) < length:
            raise Hangup
        return data

    try:
        agreed = Handshake(receive, answered.write, sizes).run()
    except Hangup:
        agreed = None
    answered.seek(0)
    assert answered.read(18) == struct.pack(">8sQH", b"NBDMAGIC", wire.OPTION_MAGIC, 3)
    replies = []
    while head := answered.read(20):
        magic, echoed, kind, length = struct.unpack(">QIII", head)
        assert magic == wire.REPLY_MAGIC
        replies.append((echoed, kind, answered.read(length)))
    return agreed, replies


def test_a_modern_client_is_told_size_flags_and_block_sizes():
    agreed, replies = shake(STRUCTURED, meta(b"vda", b"base:allocation", b"qemu:dirty-bitmap:x"), go(b"vda"))
    assert agreed == Agreed("vda", structured=True, allocation=True)
    assert replies == [
        (wire.OPT_STRUCTURED, ACK, b""),
        (wire.OPT_SET_META, wire.REP_META, struct.pack(">I", ALLOCATION_ID) + b"base:allocation"),
        (wire.OPT_SET_META, ACK, b""),
        (wire.OPT_GO, wire.REP_INFO, struct.pack(">HQH", 0, 1 << 40, FLAGS)),
        (wire.OPT_GO, wire.REP_INFO, struct.pack(">HIII", 3, 1, 65536, MAXIMUM)),
        (wire.OPT_GO, ACK, b""),
    ]


def test_exports_are_listed():
    agreed, replies = shake(option(LIST))
    assert agreed is None
    assert [data for _, kind, data in replies if kind == SERVER] == [text(b"vda"), text(b"vdb")]


@pytest.mark.parametrize(
    ("queries", "granted"),
    [((), True), ((b"base:",), True), ((b"base:allocation",), True), ((b"qemu:",), False)],
)
def test_contexts_are_listed(queries, granted):
    _, replies = shake(STRUCTURED, meta(b"vda", *queries, number=LIST_META))
    assert any(kind == wire.REP_META for _, kind, _ in replies) is granted


def test_block_status_is_for_the_export_that_it_was_agreed_for():
    for said in (
        (STRUCTURED, meta(b"vdb", b"base:allocation"), go(b"vda")),
        (STRUCTURED, meta(b"vda", b"base:allocation"), meta(b"vda"), go(b"vda")),
        (STRUCTURED, go(b"vda")),
    ):
        assert shake(*said)[0] == Agreed("vda", structured=True, allocation=False)


def test_the_empty_name_is_the_only_export():
    assert shake(go(b""), sizes={"vda": 1})[0] == Agreed("vda", structured=False, allocation=False)
    agreed, replies = shake(go(b""))
    assert agreed is None and replies[-1][1] & wire.REP_ERROR


def test_to_be_told_of_an_export_is_not_to_begin():
    agreed, replies = shake(go(b"vda", INFO))
    assert agreed is None and replies[-1] == (INFO, ACK, b"")


def test_contexts_need_structured_replies():
    agreed, replies = shake(meta(b"vda", b"base:allocation"), go(b"vda"))
    assert replies[0][1] & wire.REP_ERROR
    assert agreed == Agreed("vda", structured=False, allocation=False)


@pytest.mark.parametrize("flags", [0, 2, 7])
def test_flags_that_nobody_knows_end_it(flags):
    assert shake(go(b"vda"), flags=flags) == (None, [])
