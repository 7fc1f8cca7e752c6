# SPDX-License-Identifier: Apache-2.0
"""Is a plug-in found by its name, and a broken one told apart from a missing one without harm to the others?"""

import pytest
from oslo_config import cfg

from karbor.common import loading
from karbor.model import errors
from karbor.sdk.options import Options, option, required
from tests.support.plugins import Packages

BROKEN = {
    "import": "import karbor_no_such_module\n",
    "attribute": "class Other: pass\n",
    "syntax": "class Mine(:\n",
    "anything": "raise ZeroDivisionError('while importing')\n",
}


class Settings(Options):
    """Settings of a plug-in."""

    directory: str = required("Where.")
    depth: int = option(3, "How deep.", minimum=1)
    secret: str | None = option(None, "A password.", secret=True)


@pytest.fixture
def packages(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    found = Packages(tmp_path)
    yield found
    found.uninstall_all()


def _conf(tmp_path, text):
    path = tmp_path / "some.conf"
    path.write_text(text)
    conf = cfg.ConfigOpts()
    conf([], project="karbor-test", default_config_files=[str(path)], default_config_dirs=[])
    return conf


def test_a_plugin_is_found_by_its_name(packages):
    packages.install("class Mine: pass\n", my_plugin="Mine")
    assert loading.plugin_class(packages.namespace, "my-plugin").__name__ == "Mine"


def test_our_own_plugins_are_installed():
    assert loading.plugin_class("karbor.protections", "karbor-noop-protection-plugin").__name__ == "NoopProtection"


def test_a_missing_plugin_is_named_with_what_to_do():
    with pytest.raises(errors.ConfigurationError, match="'nonsense' in karbor.protections") as caught:
        loading.plugin_class("karbor.protections", "nonsense")
    assert caught.value.next_action


@pytest.mark.parametrize("source", BROKEN.values(), ids=BROKEN)
def test_a_plugin_that_cannot_be_loaded_is_a_matter_of_configuration(packages, source):
    packages.install(source, mine="Mine")
    with pytest.raises(errors.ConfigurationError, match="cannot be loaded") as caught:
        loading.plugin_class(packages.namespace, "mine")
    assert caught.value.detail


def test_an_entry_point_that_is_no_class_is_refused(packages):
    packages.install("Mine = 42\n", mine="Mine")
    with pytest.raises(errors.ConfigurationError, match="not a class"):
        loading.plugin_class(packages.namespace, "mine")


def test_two_packages_with_one_name_are_refused(packages):
    packages.install("class Mine: pass\n", mine="Mine")
    packages.install("class Mine: pass\n", mine="Mine")
    with pytest.raises(errors.ConfigurationError, match="no single"):
        loading.plugin_class(packages.namespace, "mine")


@pytest.mark.parametrize("source", BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_is_logged_and_the_others_are_there(packages, source, caplog):
    packages.install("class Mine: pass\n", good="Mine")
    packages.install(source, bad="Mine")
    assert list(loading.plugin_classes(packages.namespace)) == ["good"]
    assert "name=bad" in caplog.text


def test_a_namespace_without_plugins_is_empty():
    assert loading.plugin_classes("karbor.nobody") == {}


def test_settings_come_typed_from_their_section(tmp_path):
    conf = _conf(tmp_path, "[mine]\ndirectory = /somewhere\ndepth = 5\n")
    settings = loading.settings_from(conf, "mine", Settings)
    assert (settings.directory, settings.depth, settings.secret) == ("/somewhere", 5, None)


def test_a_plugin_without_settings_needs_no_section(tmp_path):
    class Nothing(Options):
        pass

    assert loading.settings_from(_conf(tmp_path, ""), "mine", Nothing).to_dict() == {}


def test_settings_may_be_asked_for_again(tmp_path):
    conf = _conf(tmp_path, "[mine]\ndirectory = /somewhere\n")
    assert (
        loading.settings_from(conf, "mine", Settings).to_dict()
        == loading.settings_from(conf, "mine", Settings).to_dict()
    )


def test_a_required_setting_that_is_missing_is_named(tmp_path):
    with pytest.raises(errors.InvalidInput, match="directory"):
        loading.settings_from(_conf(tmp_path, "[mine]\ndepth = 5\n"), "mine", Settings)


@pytest.mark.parametrize("depth", ["0", "deep"])
def test_a_setting_that_is_wrong_is_refused(tmp_path, depth):
    conf = _conf(tmp_path, f"[mine]\ndirectory = /somewhere\ndepth = {depth}\n")
    with pytest.raises((errors.InvalidInput, cfg.ConfigFileValueError), match="depth"):
        loading.settings_from(conf, "mine", Settings)


class Shared(Options):
    depth: int = option(3, "How deep.")
    url: str = option("", "Where.", section="client")


def test_an_option_may_stand_in_another_section(tmp_path):
    conf = _conf(tmp_path, "[mine]\ndepth = 5\n[client]\nurl = there\n")
    assert loading.settings_from(conf, "mine", Shared).to_dict() == {"depth": 5, "url": "there"}
