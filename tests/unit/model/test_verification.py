# SPDX-License-Identifier: Apache-2.0
"""Is a new verification in progress, with nothing said yet?"""

from karbor.model import states
from karbor.model.verification import Verification


def test_a_new_verification_is_in_progress():
    verification = Verification("v", "p", "provider", "c")
    assert verification.status == states.VERIFICATION.initial == "in_progress"
    assert verification.resources_status == verification.resources_reason == {}
    assert verification.report is None
