# SPDX-License-Identifier: Apache-2.0
"""Does a worker have a cloud exactly where the settings say so?"""

import pytest
from oslo_config import cfg

from karbor import conf as settings
from karbor.app.clouds import open_clouds, open_named
from karbor.model import errors


def _conf(tmp_path, text):
    path = tmp_path / "karbor.conf"
    path.write_text(text)
    conf = cfg.ConfigOpts()
    settings.register_opts(conf)
    conf(args=[], project="karbor", default_config_files=[str(path)], default_config_dirs=[])
    return conf


LOGIN = "auth_type = password\nauth_url = http://keystone.invalid/v3\nusername = karbor\npassword = secret\n"


def test_there_is_none_unless_the_settings_say_so(tmp_path):
    assert open_clouds(_conf(tmp_path, f"[clients]\n{LOGIN}")) is None


def test_there_is_one_and_nobody_is_asked_yet(tmp_path):
    assert open_clouds(_conf(tmp_path, f"[clients]\ncloud_resources = true\n{LOGIN}")) is not None


def test_a_cloud_without_a_login_is_refused(tmp_path):
    with pytest.raises(errors.ConfigurationError):
        open_clouds(_conf(tmp_path, "[clients]\ncloud_resources = true\n"))


def test_whoever_is_at_the_keyboard_must_say_how_to_log_in(tmp_path):
    with pytest.raises(errors.ConfigurationError, match="how to log in"):
        open_named(_conf(tmp_path, ""), "no such cloud in clouds.yaml")
