# SPDX-License-Identifier: Apache-2.0
"""Does a bank that is full, read-only, gone, slow, or that lies, end in a clear error, or in nothing at all?

And is its space given back, and the next checkpoint good, when the bank is well again? Each fault is met at a pack and
at a root; the bank is the real one with something around it that fails on command.
"""

import pytest

from tests.support.crashlab import ENDS, NEW, SHARE, Site, check

FULL = ["fail", {"nth": 1, "method": "put_if_absent", "error": "BankFull", "lasting": True}]
READ_ONLY = ["fail", {"nth": 1, "method": "put_if_absent", "error": "BankUnavailable", "lasting": True}]
SLOW = ["delay", {"seconds": 10 if SHARE == "all" else 0.03}]
BAD = {
    "full": FULL,
    "full-later": ["fail", {**FULL[1], "nth": 4}],
    "read-only": READ_ONLY,
    "silent": ["fail", {"nth": 12, "error": "BankUnavailable", "lasting": True}],
    "cuts-packs": ["truncate", {"name": "/pack/", "lasting": True}],
    "cuts-roots": ["truncate", {"name": "/stream/", "lasting": True}],
    "cuts-one-record": ["truncate", {"name": "/record/"}],
    "forgets-packs": ["forget", {"name": "/pack/", "lasting": True}],
    "forgets-indexes": ["forget", {"name": "/index/", "lasting": True}],
    "forgets-roots": ["forget", {"name": "/stream/", "lasting": True}],
    "forgets-records": ["forget", {"name": "/record/", "lasting": True}],
}
IN_SHORT = ("full-later", "cuts-packs", "cuts-one-record")
HARMLESS = {
    "slow": SLOW,
    "cuts-one-pack": ["truncate", {"name": "/pack/"}],
    "forgets-one-pack": ["forget", {"name": "/pack/"}],
    "doubles": ["duplicate", {"lasting": True}],
    "done-but-said-not-to-be": ["fail", {"nth": 4, "method": "put_if_absent", "after": True}],
}


@pytest.fixture(scope="module")
def undisturbed(lab, template):
    site = Site(lab, template, "protect")
    before = site.stored()
    assert site.run()["state"] == "done"
    return before, site.stored()


def _is_told(reason):
    """Whether somebody who reads it knows where it happened, what, and what to do."""
    return reason["step"] and reason["cause"] and reason["next_action"]


@pytest.mark.parametrize("fault", [name for name in BAD if SHARE == "all" or name in IN_SHORT])
def test_a_bad_bank_ends_in_an_error_and_its_space_is_given_back(lab, template, undisturbed, fault):
    before, stored = undisturbed
    site = Site(lab, template, "protect")
    assert site.run(bank=[BAD[fault]])["state"] == "failed"
    found = site.look()
    assert found["checkpoints"] == {site.first: "available", site.target: "error"}
    assert _is_told(found["reasons"][site.target]), found["reasons"]
    print(fault, found["reasons"][site.target])
    assert found["outside"] == [] and found["flows"] == 0 and found["jobs"] == ["done", "failed"]
    assert site.clean()["orphans"] == []
    assert site.stored() == before
    site.again()
    assert site.run()["state"] == "done"
    assert site.look()["content"][site.target] == NEW
    assert site.stored() == stored


@pytest.mark.parametrize("fault", HARMLESS)
def test_what_passes_is_tried_again_or_makes_no_difference(lab, template, undisturbed, fault):
    site = Site(lab, template, "protect")
    assert site.run(bank=[HARMLESS[fault]], seconds=900)["state"] == "done"
    check(site, undisturbed[1])


def test_a_bank_that_vanishes_in_mid_flight_is_an_error_and_nothing_is_written_beside_it(lab, template):
    site = Site(lab, template, "protect")
    assert site.run(at=("bank:put-pack:before", 1), how="vanish")["state"] == "failed"
    assert not (site.root / "bank-here").exists()
    (site.root / "bank-away").rename(site.root / "bank-here")
    found = site.look()
    assert found["checkpoints"][site.target] == "error" and _is_told(found["reasons"][site.target])
    assert found["outside"] == [] and site.clean()["orphans"] == []
    site.again()
    assert site.run()["state"] == "done"
    assert site.look()["checkpoints"][site.target] == ENDS["protect"]
