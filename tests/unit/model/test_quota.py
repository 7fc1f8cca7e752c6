# SPDX-License-Identifier: Apache-2.0
"""Is it said what can be limited?"""

from karbor.model.quota import KINDS, UNLIMITED, Drift


def test_plans_come_first_and_the_bytes_last():
    assert KINDS == ("plans", "checkpoints", "logical_bytes", "stored_bytes")
    assert UNLIMITED == -1


def test_a_drift_says_what_was_kept_and_what_was_found():
    assert Drift("p", "plans", 1, 2) == Drift("p", "plans", kept=1, found=2, plan_id=None)
