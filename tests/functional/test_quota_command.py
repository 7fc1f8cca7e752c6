# SPDX-License-Identifier: Apache-2.0
"""Does the command that counts anew say what it mended?"""

import json
import subprocess

import sqlalchemy as sa

from karbor.db.database import Database
from karbor.db.tables import QUOTA_USAGES
from tests.support import rows as make
from tests.support.clock import TwinClock
from tests.support.service import BIN


def test_counters_that_a_hand_has_spoilt_are_mended(tmp_path):
    url = f"sqlite:///{tmp_path}/karbor.sqlite"
    settings = tmp_path / "karbor.conf"
    settings.write_text(f"[DEFAULT]\nstate_path = {tmp_path}\n[database]\nconnection = {url}\n")
    database = Database(url, clock=TwinClock())
    database.upgrade()
    with database.write() as rows:
        rows.plans.create(make.plan())
        rows.connection.execute(sa.update(QUOTA_USAGES).values(plans=7))
    command = [str(BIN / "karbor-manage"), "--config-file", str(settings), "quota", "reconcile", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert json.loads(done.stdout) == {
        "entries": [{"project_id": make.PROJECT, "kind": "plans", "kept": 7, "found": 1, "plan_id": None}],
        "counts": {"mended": 1},
    }
    with database.read() as rows:
        assert rows.quotas.usage(make.PROJECT)["plans"]["in_use"] == 1
    database.dispose()
