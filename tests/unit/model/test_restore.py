# SPDX-License-Identifier: Apache-2.0
"""Is a new restore in progress, with nothing said of its resources?"""

from karbor.model import states
from karbor.model.restore import Restore


def test_a_new_restore_is_in_progress():
    restore = Restore("r", "p", "v", "c")
    assert restore.status == states.RESTORE.initial == "in_progress"
    assert restore.resources_status == restore.resources_reason == {}
