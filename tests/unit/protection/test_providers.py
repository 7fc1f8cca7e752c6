# SPDX-License-Identifier: Apache-2.0
"""Is each good provider file a provider, and each bad one left out with its reason?"""

import uuid

import pytest
from jsonschema import Draft202012Validator

from karbor.model import errors
from karbor.plugins.resources.noop import NoopProtection
from karbor.protection import providers
from karbor.protection.providers import ProviderRegistry
from karbor.protection.restorescope import SCOPE_TYPE
from karbor.sdk.environment import Environment
from karbor.vault.keys import MasterKey
from tests.support.clock import TwinClock

FIRST = "11111111-1111-4111-8111-111111111111"
GOOD = {
    "name": "Trial",
    "description": "For trials.",
    "id": FIRST,
    "plugin": "karbor-noop-protection-plugin",
    "bank": "karbor-fs-bank-plugin",
    "enabled": "True",
}


@pytest.fixture
def site(tmp_path):
    """A directory for provider files, a bank directory, no key yet."""
    (tmp_path / "providers.d").mkdir()
    return tmp_path


def _write(site, file="trial.conf", *, rest="", **changed):
    """A provider file; a value None leaves its line out."""
    values = {**GOOD, **changed}
    lines = [f"{name} = {value}" for name, value in values.items() if value is not None]
    lines += ["[file_system_bank_plugin]", f"file_system_bank_path = {site / 'bank'}", rest]
    (site / "providers.d" / file).write_text("\n".join(["[provider]", *lines, ""]))


def _load(site):
    return ProviderRegistry(
        site / "providers.d",
        environment=Environment("here", str(site)),
        load_key=lambda: MasterKey.load(site / "master.key"),
        cache_dir=site / "cache",
        clock=TwinClock(),
    )


def _problem(site):
    """The reason why the one file of this site was left out."""
    registry = _load(site)
    assert list(registry) == [] and list(registry.problems) == ["trial.conf"]
    return registry.problems["trial.conf"]


def test_a_good_file_is_a_provider(site):
    _write(site)
    registry = _load(site)
    assert registry.problems == {}
    assert list(registry.ids) == [FIRST]
    info = registry.get(FIRST).info
    assert (info.name, info.description) == ("Trial", "For trials.")
    assert info.resource_types == set(NoopProtection.resource_types)


def test_an_id_may_be_written_in_any_form_of_a_uuid(site):
    _write(site, id=uuid.UUID(FIRST).hex.upper())
    assert list(_load(site).ids) == [FIRST]


def test_schemas_of_every_kind_are_there_for_every_type(site):
    _write(site)
    schemas = _load(site).get(FIRST).info.schemas
    kinds = ("options_schema", "restore_schema", "saved_info_schema", "verify_schema", "copy_schema")
    assert tuple(schemas) == kinds
    for kind in kinds:
        whole = {SCOPE_TYPE} if kind == "restore_schema" else set()  # what is said of a restore as a whole
        assert set(schemas[kind]) == {*NoopProtection.resource_types, *whole}
        for schema in schemas[kind].values():
            Draft202012Validator.check_schema(schema)
    assert "restore_name" in schemas["restore_schema"]["OS::Nova::Server"]["properties"]


def test_a_disabled_provider_is_not_there_and_no_problem(site):
    _write(site, enabled="False")
    _write(site, "silent.conf", enabled=None)
    registry = _load(site)
    assert list(registry) == [] and registry.problems == {}


def test_of_two_files_with_one_id_the_first_by_name_counts(site):
    _write(site, "a.conf", name="First")
    _write(site, "b.conf", name="Second")
    registry = _load(site)
    assert [provider.info.name for provider in registry] == ["First"]
    assert "already" in registry.problems["b.conf"]


def test_a_bad_file_does_not_hinder_the_others(site):
    _write(site, "a.conf", plugin="nonsense")
    (site / "providers.d" / "b.conf").write_text("no settings file at all")
    _write(site, "c.conf")
    (site / "providers.d" / "d.conf").write_bytes(b"\xff\xfe\x00")
    (site / "providers.d" / "e.conf").symlink_to(site / "gone")
    registry = _load(site)
    assert list(registry.ids) == [FIRST]
    assert set(registry.problems) == {"a.conf", "b.conf", "d.conf", "e.conf"}
    assert all(registry.problems.values())


def test_other_files_are_not_looked_at(site):
    (site / "providers.d" / "trial.conf.bak").write_text("nonsense")
    registry = _load(site)
    assert list(registry) == [] and registry.problems == {}


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"plugin": "nonsense"}, "'nonsense'"),
        ({"bank": "nonsense"}, "'nonsense'"),
        ({"bank": "karbor-noop-protection-plugin"}, "not a bank"),
        ({"plugin": "karbor-fs-bank-plugin"}, "not a protection"),
        ({"id": "no-uuid"}, "UUID"),
        ({"id": None}, "id"),
        ({"name": None}, "name"),
        ({"bank": None}, "bank"),
        ({"enabled": "perhaps"}, "enabled"),
        ({"rest": "bank_object_container = ../elsewhere"}, "bank_object_container"),
    ],
)
def test_a_file_that_cannot_be_used_is_left_out_with_its_reason(site, changed, text):
    _write(site, **changed)
    assert text in _problem(site)


def test_a_required_setting_of_a_plugin_that_is_missing_is_named(site):
    lines = [f"{name} = {value}" for name, value in GOOD.items()]
    (site / "providers.d" / "trial.conf").write_text("\n".join(["[provider]", *lines, ""]))
    assert "file_system_bank_path" in _problem(site)


def test_the_reason_is_logged_with_the_file(site, caplog):
    _write(site, plugin="nonsense")
    _load(site)
    assert "trial.conf" in caplog.text and "nonsense" in caplog.text


def test_a_missing_directory_is_told_and_not_made(site):
    (site / "providers.d").rmdir()
    with pytest.raises(errors.ConfigurationError, match=r"providers\.d"):
        _load(site)
    assert not (site / "providers.d").exists()


def test_a_directory_without_files_has_no_providers(site):
    assert list(_load(site).ids) == []


def test_an_unknown_provider_is_not_found(site):
    with pytest.raises(errors.NotFound, match="nonsense"):
        _load(site).get("nonsense")


def test_a_type_is_protected_by_its_plugin_and_unknown_types_by_nobody(site):
    _write(site)
    provider = _load(site).get(FIRST)
    assert isinstance(provider.protection("Libvirt::Domain"), NoopProtection)
    assert provider.plugin_name("Libvirt::Domain") == "karbor-noop-protection-plugin"
    with pytest.raises(errors.InvalidInput, match="Other::Type"):
        provider.protection("Other::Type")


def test_loading_touches_neither_bank_nor_key(site):
    _write(site)
    _load(site)
    assert sorted(path.name for path in site.iterdir()) == ["providers.d"]


def test_a_missing_bank_is_told_and_not_made(site):
    _write(site)
    MasterKey.create(site / "master.key")
    with pytest.raises(errors.BankUnavailable):
        _load(site).get(FIRST).check()
    assert not (site / "bank").exists()


def test_a_missing_key_is_told_and_not_made_and_works_once_it_is_there(site):
    _write(site)
    provider = _load(site).get(FIRST)
    identity = provider.bank.initialise()
    with pytest.raises(errors.KeyUnavailable):
        provider.check()
    assert not (site / "master.key").exists()
    MasterKey.create(site / "master.key")
    assert provider.check() == identity


def test_the_vault_is_opened_once_and_again_after_it_was_closed(site):
    _write(site)
    MasterKey.create(site / "master.key")
    registry = _load(site)
    provider = registry.get(FIRST)
    provider.bank.initialise()
    first = provider.vault
    assert provider.vault is first
    registry.close()
    registry.close()
    assert provider.vault is not first
    registry.close()


@pytest.mark.parametrize(
    ("plugin", "section"),
    [
        ("karbor-fs-bank-plugin", "file_system_bank_plugin"),
        ("karbor-noop-protection-plugin", "noop_protection_plugin"),
        ("my-own", "my_own"),
    ],
)
def test_the_section_of_a_plugin_follows_from_its_name(plugin, section):
    assert providers.settings_section(plugin) == section
