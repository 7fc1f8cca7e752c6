# SPDX-License-Identifier: Apache-2.0
"""Is the permission of a failed job held only where somebody would look by it?"""

import pytest

from karbor.conf.leftovers import hold_of
from tests.support.api import make_conf


@pytest.mark.parametrize(("clouds", "interval", "held"), [(True, 60, 86400), (False, 60, 0), (True, 0, 0)])
def test_a_permission_is_held_where_workers_look_into_clouds(clouds, interval, held):
    conf = make_conf()
    conf.set_override("cloud_resources", clouds, group="clients")
    conf.set_override("interval", interval, group="leftovers")
    assert hold_of(conf) == held
