# SPDX-License-Identifier: Apache-2.0
"""Are the settings of a worker sensible together, and wrong ones refused?"""

import pytest
from oslo_config import cfg

from karbor.conf import protection


def _conf(tmp_path, text=""):
    (tmp_path / "karbor.conf").write_text(text)
    conf = cfg.ConfigOpts()
    protection.register_opts(conf)
    conf([], project="karbor-test", default_config_files=[str(tmp_path / "karbor.conf")], default_config_dirs=[])
    return conf


def test_a_worker_looks_for_jobs_more_often_than_a_lease_lasts(tmp_path):
    conf = _conf(tmp_path)
    assert conf.jobs.poll < conf.jobs.lease


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [("jobs", "lease", "1"), ("jobs", "poll", "0"), ("jobs", "attempts", "0"), ("vault", "compression_level", "20")],
)
def test_values_that_cannot_work_are_refused(tmp_path, group, name, value):
    conf = _conf(tmp_path, f"[{group}]\n{name} = {value}\n")
    with pytest.raises(cfg.ConfigFileValueError, match=name):
        _ = conf[group][name]
