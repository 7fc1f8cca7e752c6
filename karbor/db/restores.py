# SPDX-License-Identifier: Apache-2.0
"""How are restores kept?"""

from karbor.db.runs import Runs, listing
from karbor.db.tables import RESTORES
from karbor.model import states
from karbor.model.restore import Restore


class Restores(Runs[Restore]):
    """The restores."""

    noun = "restore"
    table = RESTORES
    kind = Restore
    states = states.RESTORE
    LISTING = listing(RESTORES)
