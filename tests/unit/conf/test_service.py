# SPDX-License-Identifier: Apache-2.0
"""Are the settings all processes share sensible together?"""

from oslo_config import cfg

from karbor.conf import service


def test_a_service_gives_several_signs_of_life_before_it_counts_as_down():
    conf = cfg.ConfigOpts()
    service.register_opts(conf)
    conf([], project="karbor-test", default_config_files=[], default_config_dirs=[])
    assert conf.service_down_time >= 3 * conf.report_interval
    assert conf.host
