# SPDX-License-Identifier: Apache-2.0
"""Is a destroyed key gone for everybody, also for those who know it, and does a crash leave nothing half done?"""

import pytest

from karbor.model import errors
from karbor.sdk.testing.faults import FaultyBank
from karbor.vault.keys import MasterKey
from tests.support.vaults import BytesSource, content_of, memory_bank, nothing, open_vault

DATA = b"nobody shall read this" * 9000


@pytest.fixture
def bank():
    return memory_bank()


@pytest.fixture
def vault(bank, tmp_path):
    found = open_vault(bank, tmp_path / "cache")
    yield found
    found.close()


def stored(vault, project="gone"):
    """The stream of a project with one record."""
    domain = vault.domain(project)
    info = domain.write_stream(BytesSource(DATA), advance=nothing)
    domain.put_record("checkpoint", "1", {"streams": [info.id]})
    return info.id


def destroy(vault, project="gone"):
    domain = vault.keyring.domain_name(project)
    return vault.destruction().destroy(domain, project)


def test_nobody_can_open_it_any_more_and_others_can(bank, vault, tmp_path):
    stream, other = stored(vault), stored(vault, "kept")
    assert destroy(vault)
    later = open_vault(bank, tmp_path / "later")
    for call in (
        lambda: later.domain("gone").open_stream(stream),
        lambda: later.domain("gone").records("checkpoint"),
        lambda: later.domain("gone").write_stream(BytesSource(b"again"), advance=nothing),
        lambda: later.domain("gone").check_keys(),
        lambda: later.keyring.label(later.keyring.domain_name("gone")),
    ):
        with pytest.raises(errors.KeyDestroyed):
            call()
    assert content_of(later.domain("kept"), other) == DATA
    later.close()


def test_who_knows_the_key_forgets_it_at_the_next_look(bank, vault, tmp_path):
    stream = stored(vault)
    reader = vault.domain("gone").open_stream(stream)
    assert reader.read(0, 10) == DATA[:10]
    assert vault.forget_destroyed() == []
    other = open_vault(bank, tmp_path / "other")
    destroy(other)
    assert vault.forget_destroyed() == ["gone"]
    assert vault.forget_destroyed() == []
    for call in (
        lambda: reader.read(0, 10),
        lambda: reader.parts(0, 10),
        lambda: vault.domain("gone").open_stream(stream),
        lambda: vault.domain("gone").put_record("checkpoint", "2", {}),
    ):
        with pytest.raises(errors.KeyDestroyed):
            call()
    assert not list((tmp_path / "cache").glob("*.index*"))
    other.close()


def test_a_write_under_way_ends_without_a_record(bank, vault, tmp_path):
    stored(vault)
    other = open_vault(bank, tmp_path / "other")

    def destroyed_meanwhile(nbytes):
        if nbytes and destroy(other):
            vault.forget_destroyed()

    with pytest.raises(errors.KarborError):
        vault.domain("gone").write_stream(BytesSource(DATA + b"more"), advance=destroyed_meanwhile)
    with pytest.raises(errors.KeyDestroyed):
        vault.domain("gone").put_record("checkpoint", "2", {})
    other.close()


def test_a_worker_that_was_not_told_yet_commits_nothing(bank, vault, tmp_path):
    stored(vault)
    other = open_vault(bank, tmp_path / "other")
    destroy(other)
    with pytest.raises(errors.KeyDestroyed):
        vault.domain("gone").put_record("checkpoint", "2", {})
    other.close()


@pytest.mark.parametrize("after", [False, True])
def test_it_can_be_killed_anywhere_and_run_again(tmp_path, after):
    for calls in range(1, 9):
        inner = memory_bank()
        vault = open_vault(inner, tmp_path / f"{calls}")
        stored(vault)
        name = vault.keyring.domain_name("gone")
        vault.rotation().rotate()
        faulty = FaultyBank(inner)
        dying = open_vault(faulty, tmp_path / f"{calls}-dying")
        faulty.fail(calls, after=after, lasting=True)
        try:
            dying.destruction().destroy(name, "gone")
        except errors.BankUnavailable:
            marked = f"d/{name}/key/destroyed" in inner.objects
            assert marked or content_of(vault.domain("gone"), next(iter(streams(inner)))) == DATA
        vault.destruction().destroy(name, "gone")
        assert [one for one in inner.objects if one.startswith(f"d/{name}/key/")] == [f"d/{name}/key/destroyed"]
        vault.close()
        dying.close()


def streams(bank):
    return (name.rpartition("/")[2] for name in bank.objects if "/stream/" in name)


def test_what_is_left_is_removed_and_a_crash_before_the_end_finished(bank, vault):
    stored(vault)
    stored(vault, "kept")
    name = vault.keyring.domain_name("gone")
    with pytest.raises(errors.Conflict):
        vault.destruction().remove_rest(name, pause=nothing)
    key = bank.objects[f"d/{name}/key/00000001"]
    destroy(vault)
    bank.objects[f"d/{name}/key/00000001"] = key  # as if killed between marker and deletion
    counted = vault.destruction().remove_rest(name, pause=nothing, dry_run=True)
    assert counted["objects"] == len([one for one in bank.objects if one.startswith(f"d/{name}/")]) - 2
    assert vault.destruction().remove_rest(name, pause=nothing) == counted
    assert [one for one in bank.objects if one.startswith(f"d/{name}/")] == [f"d/{name}/key/destroyed"]
    assert sum("/stream/" in one for one in bank.objects) == 1


def test_a_marker_that_is_not_ours_is_no_reason_to_delete(bank, vault):
    stored(vault)
    name = vault.keyring.domain_name("gone")
    marker = f"d/{name}/key/destroyed"
    other = MasterKey(b"o" * 32)
    for data, error in (
        (b"rot", errors.IntegrityError),
        (other.wrap(marker, {"label": "gone"}), errors.KeyUnavailable),
    ):
        bank.objects[marker] = data
        with pytest.raises(error):
            vault.destruction().remove_rest(name, pause=nothing)
    assert f"d/{name}/key/00000001" in bank.objects


def test_the_marker_tells_whose_key_it_was_only_to_who_has_the_master_key(bank, vault):
    stored(vault)
    name = vault.keyring.domain_name("gone")
    destroy(vault)
    assert vault.keyring.destroyed(name)["label"] == "gone"
    assert b"gone" not in bank.objects[f"d/{name}/key/destroyed"]
