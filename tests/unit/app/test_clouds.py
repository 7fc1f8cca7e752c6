# SPDX-License-Identifier: Apache-2.0
"""Does a worker open what karbor-api sealed for it, with the settings of both?"""

import pytest

from karbor.app.clouds import open_clouds
from karbor.clients.sealedlogins import LoginSeal
from karbor.model import errors
from tests.support.api import make_conf
from tests.support.keystone_twin import keystone_twin


@pytest.fixture(scope="module")
def keystone():
    with keystone_twin() as twin:
        yield twin


def conf(keystone, tmp_path, more):
    file = tmp_path / "karbor.conf"
    file.write_text(f"{keystone.settings()}[clients]\ncloud_resources = true\nattempts = 1\n{more}")
    return make_conf([file])


def test_a_login_that_was_sealed_leads_into_its_project(keystone, tmp_path):
    key = tmp_path / "login.key"
    LoginSeal.create(key)
    given = {"username": "bob", "password": "secret", "project_id": "beta"}
    sealed = LoginSeal.load(key).seal("restore-1", {"url": keystone.url, "kind": "password", "given": given})
    clouds = open_clouds(conf(keystone, tmp_path, f"login_key_file = {key}\n"))
    assert clouds.of_login("restore-1", sealed)().project_id == "beta"
    with pytest.raises(errors.KeyUnavailable):
        clouds.of_login("restore-2", sealed)()


def test_without_the_setting_nobody_logs_in_elsewhere(keystone, tmp_path):
    with pytest.raises(errors.NotSupported):
        open_clouds(conf(keystone, tmp_path, "")).of_login("restore-1", "sealed")()


def test_without_clouds_there_are_none():
    assert open_clouds(make_conf()) is None


@pytest.mark.parametrize(("there", "wanted"), [(False, ("west", "internal")), (True, ("", "public"))])
def test_only_of_this_cloud_are_inner_addresses_and_its_region_used(keystone, tmp_path, there, wanted):
    key = tmp_path / "login.key"
    LoginSeal.create(key)
    url = "http://there.invalid/v3" if there else keystone.url
    sealed = LoginSeal.load(key).seal(
        "r", {"url": url, "kind": "password", "given": {"username": "u", "password": "p"}}
    )
    more = f"login_key_file = {key}\nregion_name = west\ninterface = internal\n"
    cloud = open_clouds(conf(keystone, tmp_path, more)).of_login("r", sealed)()
    assert (cloud._settings.region, cloud._settings.interface) == wanted


def test_parameters_that_were_sealed_are_opened_with_the_same_key(keystone, tmp_path):
    key = tmp_path / "login.key"
    LoginSeal.create(key)
    sealed = LoginSeal.load(key).seal("parameters of 1", {"value": "x"})
    clouds = open_clouds(conf(keystone, tmp_path, f"login_key_file = {key}\n"))
    assert clouds.opened("parameters of 1", sealed) == {"value": "x"}
    with pytest.raises(errors.KeyUnavailable):
        clouds.opened("parameters of 2", sealed)
