# SPDX-License-Identifier: Apache-2.0
"""What is told of what a verification found?"""

from karbor.protection import findings
from karbor.vault.examineobjects import UNREADABLE
from karbor.vault.report import Damage, StreamReport

LOST = {"stream": "disk", "offset": 4096, "length": 4096, "reason": "a pack is missing"}


def test_of_many_ranges_the_first_are_told_and_the_rest_is_counted():
    report = StreamReport("s", "data", 1 << 30, tuple(Damage(8192 * n, 4096, "gone") for n in range(1005)), omitted=7)
    told = findings.ranges("disk", report)
    assert (len(told), told[0]["offset"], told[1000]["length"]) == (1001, 0, 5 * 4096)
    assert told[1000]["reason"] == "12 more ranges from here on"


def test_damage_counts_more_than_what_could_not_be_proven():
    failed = {"reason": "web did not come up.", "detail": ""}
    assert findings.fate({"damage": []}) == ("available", "")
    assert findings.fate({"damage": [], "failed": failed}) == ("error", "web did not come up.")
    assert findings.fate({"damage": [LOST], "failed": failed})[1].startswith("bytes 4096 to 8191 of disk are lost")


def test_only_lost_bytes_are_a_proof():
    failed = {"failed": {"Libvirt::Domain#1": {"reason": "it did not come up"}}}
    unsure = {"Libvirt::Disk#1": [{**LOST, "reason": UNREADABLE}]}
    assert not findings.proven({**failed, **unsure, "level": "data"})
    assert findings.proven({**failed, "Libvirt::Disk#1": [LOST]})
    assert findings.proven({findings.RECORD_KEY: [{"reason": "lost"}]})
