# SPDX-License-Identifier: Apache-2.0
"""Are settings of keys read as they are meant, and refused where they cannot be?"""

from pathlib import Path

import pytest
from oslo_config import cfg

from karbor import conf as settings
from karbor.app.keysettings import key_loader, key_source, shared_domains
from karbor.model import errors
from karbor.vault.keys import MasterKey
from karbor.vault.keysource import KeySource


def conf(**values):
    found = cfg.ConfigOpts()
    settings.register_opts(found)
    found([], project="karbor", default_config_files=[], default_config_dirs=[])
    for name, value in values.items():
        found.set_override(name, value, group="vault")
    return found


def test_files_are_the_default():
    assert key_source(conf()) == KeySource("file", "/etc/karbor/master.key")
    found = key_source(conf(master_key_file="/new", other_master_key_files=["/old"]))
    assert (found.key, found.others) == ("/new", ("/old",))


def test_a_key_manager_needs_an_id():
    with pytest.raises(errors.ConfigurationError):
        key_source(conf(master_key_source="castellan"))
    given = {"master_key_source": "castellan", "master_key_id": "1", "castellan_config": "/c"}
    assert key_source(conf(**given)) == KeySource("castellan", "1", (), Path("/c"))
    assert key_source(conf(**given, key_manager_timeout=3)).seconds == 3


def test_a_worker_with_sealer_files_has_no_master_key(tmp_path):
    MasterKey.create(tmp_path / "key")
    assert key_loader(conf(master_key_file=str(tmp_path / "key")))().id
    assert key_loader(conf(sealer_dir=str(tmp_path)))().directory == tmp_path
    with pytest.raises(errors.ConfigurationError):
        key_loader(conf(sealer_dir=str(tmp_path / "gone")))()


def test_projects_share_a_domain_by_name():
    found = shared_domains(conf(shared_domain=["images: a, b", "more:c"]))
    assert found == {"a": "shared:images", "b": "shared:images", "c": "shared:more"}


@pytest.mark.parametrize("lines", [["images"], ["images:"], ["images: a,,b"], [": a"], ["x/y: a"], ["i: a", "j: a"]])
def test_lines_that_say_nothing_are_refused(lines):
    with pytest.raises(errors.ConfigurationError):
        shared_domains(conf(shared_domain=lines))
