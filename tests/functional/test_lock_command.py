# SPDX-License-Identifier: Apache-2.0
"""Do the commands for locks tell the bank and the catalog, and need the catalog for nothing?"""

import argparse
import functools
from datetime import UTC, datetime, timedelta

import pytest
from oslo_config import cfg
from oslo_log import log as oslo_log

from karbor import conf as settings
from karbor.app.wiring import Shared
from karbor.cmd import locks
from karbor.common.clock import Clock, iso
from karbor.model import errors
from karbor.model.checkpoint import Checkpoint
from tests.functional.test_key_command import PROJECT, PROVIDER, Site, _verb
from tests.support.vaults import open_vault

ONE = "0e2a5c1c-2f6e-4f53-9d6f-6a6a1c9a9d11"


class Desk(Site):
    """A site with one checkpoint, and an operator."""

    def __init__(self, root):
        super().__init__(root)
        vault = open_vault(self.bank, root / "writer", key=self.old)
        vault.domain(PROJECT).put_record("checkpoint", ONE, {"version": 1, "streams": [self.stream]})
        vault.close()

    def ask(self, *arguments):
        """The answer of ``karbor-manage checkpoint``."""
        conf = cfg.ConfigOpts()
        oslo_log.register_options(conf)
        settings.register_opts(conf)
        conf([], project="karbor", default_config_files=[str(self.root / "karbor.conf")], default_config_dirs=[])
        parser = argparse.ArgumentParser()
        locks.add_arguments(functools.partial(_verb, parser.add_subparsers()))
        given = parser.parse_args([*arguments, "--provider", PROVIDER])
        return given.function(argparse.Namespace(shared=Shared(conf, Clock(), self.database, None)), given)


@pytest.fixture
def desk(tmp_path):
    found = Desk(tmp_path)
    yield found
    found.database.dispose()


def test_a_checkpoint_that_the_catalog_does_not_know_is_named_with_its_project(desk):
    with pytest.raises(errors.NotFound):
        desk.ask("hold", ONE, "--reason", "case 7")
    assert desk.ask("hold", ONE, "--reason", "case 7", "--project", PROJECT)["reason"] == "case 7"
    [entry] = desk.ask("locks")["entries"]
    assert (entry["checkpoint"], entry["project"], entry["held"]) == (ONE, PROJECT, True)
    desk.ask("release", ONE, "--project", PROJECT)
    assert desk.ask("locks") == {"entries": [], "counts": {"locked or held": 0}}


def test_the_catalog_learns_of_it(desk):
    with desk.database.write() as rows:
        rows.checkpoints.create(Checkpoint(ONE, PROJECT, PROVIDER, "plan", {"id": "plan"}, status="available"))
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    assert desk.ask("lock", ONE, "--until", iso(end), "--mode", "compliance")["until"] == iso(end)
    with desk.database.read() as rows:
        assert (rows.checkpoints.get(ONE).lock_mode, rows.checkpoints.get(ONE).locked_until) == ("compliance", end)
    with pytest.raises(errors.CheckpointLocked):
        desk.ask("unlock", ONE)
    with pytest.raises(errors.InvalidInput):
        desk.ask("lock", ONE, "--until", "tomorrow")
