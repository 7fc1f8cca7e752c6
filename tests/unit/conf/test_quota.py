# SPDX-License-Identifier: Apache-2.0
"""Is there a configured limit for every kind that a quota knows?"""

from oslo_config import cfg

from karbor.conf import quota
from karbor.model.quota import KINDS


def test_every_kind_has_a_default():
    conf = cfg.ConfigOpts()
    quota.register_opts(conf)
    conf([], project="karbor-test", default_config_files=[], default_config_dirs=[])
    assert quota.defaults(conf) == {"plans": 50, "checkpoints": -1, "logical_bytes": -1, "stored_bytes": -1}
    assert tuple(quota.defaults(conf)) == KINDS
