# SPDX-License-Identifier: Apache-2.0
"""How are verifications kept?"""

from karbor.db.runs import Runs, listing
from karbor.db.tables import VERIFICATIONS
from karbor.model import states
from karbor.model.verification import Verification


class Verifications(Runs[Verification]):
    """The verifications."""

    noun = "verification"
    table = VERIFICATIONS
    kind = Verification
    states = states.VERIFICATION
    LISTING = listing(VERIFICATIONS)
