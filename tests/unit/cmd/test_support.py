# SPDX-License-Identifier: Apache-2.0
"""Does the bundle for support hold what is needed, and none of the secrets that were planted everywhere?"""

import json
import stat
import tarfile

import pytest
from oslo_config import cfg
from oslo_log import log as oslo_log

from karbor import conf as settings
from karbor.app.wiring import Shared
from karbor.cmd import support
from karbor.db.database import Database
from karbor.model import errors
from karbor.model.checkpoint import Reason
from karbor.model.provider import ProviderInfo
from tests.support.clock import TwinClock
from tests.support.rows import checkpoint, job, log, restore

#: In the settings, and therefore hidden wherever it stands; some only by the look of what is around them.
PLANTED = {
    "broker": "brokerword77",
    "metrics": "scrapetoken77",
    "keystone": "servicepass77",
    "bank": "s3bankkey7777",
    "user": "userword7777",
    "session": "gAAAAABsessionsessionsession77",
}

SETTINGS = """[DEFAULT]
host = kvm1
transport_url = rabbit://karbor:{broker}@one:5672,karbor:{broker}@two:5672/
provider_config_dir = {root}/providers.d
state_path = {root}
log_dir = {root}
[database]
connection = sqlite:///{root}/karbor.sqlite
[vault]
master_key_file = {root}/master.key
[metrics]
token = {metrics}
[keystone_authtoken]
username = karbor
password = {keystone}
[oslo_messaging_notifications]
transport_url = rabbit://n:{broker}@three/
"""
PROVIDER = """[provider]
name = far
id = 3f0d4a5e-6c1b-4d0e-9b55-2b1f3a7c9e10
bank = karbor-s3-bank-plugin
[s3_client]
s3_endpoint = https://objects
s3_secret_key = {bank}
"""
LOG = """2026-01-02 INFO job taken job=1
2026-01-02 DEBUG REQ: curl -H "X-Auth-Token: {session}" https://cloud -d '{{"auth": {{"password": "{user}"}}}}'
2026-01-02 ERROR the server said: wrong signature of {bank} by {keystone}
2026-01-02 ERROR cannot connect rabbit://karbor:{broker}@one:5672
"""


SEALED = "a-sealed-login-Hb6Qw2"


@pytest.fixture
def shared(tmp_path):
    root = tmp_path / "state"
    (root / "providers.d").mkdir(parents=True)
    given = {**PLANTED, "root": root}
    (root / "karbor.conf").write_text(SETTINGS.format(**given))
    (root / "providers.d" / "far.conf").write_text(PROVIDER.format(**given))
    (root / "karbor-api.log").write_text(LOG.format(**given))
    (root / "master.key").write_text("masterkey77")
    conf = cfg.ConfigOpts()
    oslo_log.register_options(conf)
    settings.register_opts(conf)
    conf([], project="karbor", default_config_files=[str(root / "karbor.conf")], default_config_dirs=[])
    clock = TwinClock()
    database = Database(conf.database.connection, clock=clock)
    database.upgrade()
    _fill(database)
    yield Shared(conf, clock, database, None)
    database.dispose()


def _fill(database):
    bad = f"https://u:{PLANTED['user']}@host failed, password={PLANTED['user']}, {PLANTED['bank']}"
    with database.write() as rows:
        rows.services.heartbeat(binary="karbor-protection", host="kvm1")
        rows.providers.put(ProviderInfo("p1", "far", "", {}, reason=bad))
        rows.checkpoints.create(checkpoint(plan={"parameters": {"x": {"restore_auth": PLANTED["user"]}}}))
        rows.checkpoints.transition("checkpoint-1", "error", reason=Reason("web", "protect", bad, "look"))
        rows.restores.create(restore(parameters={"T": {"password": PLANTED["user"]}}, restore_target=bad))
        rows.restores.transition("restore-1", "fail", resources_reason={"T#1": bad})
        rows.restores.create(restore(id="restore-2"))
        rows.restores.keep_login("restore-2", SEALED)
        rows.jobs.create(job(payload={"failure": {"cause": bad, "step": "protect"}, "restore_auth": PLANTED["user"]}))
        rows.jobs.request_cancel("job-1")
        rows.operation_logs.create(log(error_info=bad, extra_info={"token": PLANTED["session"], "request_id": "req-1"}))


def unpack(path):
    with tarfile.open(path) as archive:
        return {entry.name: archive.extractfile(entry).read().decode() for entry in archive.getmembers()}


def test_no_secret_is_in_the_bundle(shared, tmp_path):
    support.bundle(shared, str(tmp_path / "bundle.tar.gz"), [])
    parts = unpack(tmp_path / "bundle.tar.gz")
    for name, content in parts.items():
        for what, secret in {**PLANTED, "key": "masterkey77", "login": SEALED}.items():
            assert secret not in content, (what, name)


def test_what_is_needed_is_in_it(shared, tmp_path):
    answer = support.bundle(shared, str(tmp_path / "bundle.tar.gz"), [])
    parts = {name.removeprefix("karbor-support/"): text for name, text in unpack(tmp_path / "bundle.tar.gz").items()}
    assert set(answer["parts"]) == set(parts)
    assert "host = kvm1" in parts["settings/karbor.conf"]
    assert "s3_endpoint = https://objects" in parts["providers/far.conf"]
    assert "job taken job=1" in parts["logs/karbor-api.log"]
    assert "service_down_time" in parts["settings-in-use.txt"]
    state = json.loads(parts["database.json"])
    assert (state["schema_is_current"], state["jobs"], state["services"][0]["up"]) == (
        True,
        {"protect failed": 1},
        True,
    )
    failures = json.loads(parts["failures.json"])
    assert failures["checkpoints"][0]["reason"]["next_action"] == "look"
    assert failures["jobs"][0]["payload"]["failure"]["step"] == "protect"
    assert json.loads(parts["operation_logs.json"])[0]["extra_info"] == {"token": "***", "request_id": "req-1"}
    assert json.loads(parts["versions.json"])["libraries"]["SQLAlchemy"]
    assert stat.S_IMODE((tmp_path / "bundle.tar.gz").stat().st_mode) == 0o600


def test_a_log_is_taken_from_its_end_and_never_from_the_middle_of_a_line(shared, tmp_path):
    long = tmp_path / "long.log"
    long.write_text("password=" + "x" * support.TAIL + "\nlast line\n")
    support.bundle(shared, str(tmp_path / "bundle.tar.gz"), [str(long), str(tmp_path / "none.log")])
    assert unpack(tmp_path / "bundle.tar.gz")["karbor-support/logs/long.log"] == "last line\n"


def test_without_a_database_the_rest_is_there(shared, tmp_path):
    empty = Database(f"sqlite:///{tmp_path}/none.sqlite", clock=shared.clock)
    support.bundle(Shared(shared.conf, shared.clock, empty, None), str(tmp_path / "bundle.tar.gz"), [])
    empty.dispose()
    parts = unpack(tmp_path / "bundle.tar.gz")
    assert "problem" in parts["karbor-support/database.json"]
    assert "host = kvm1" in parts["karbor-support/settings/karbor.conf"]


def test_a_place_that_cannot_be_written_is_named(shared, tmp_path):
    with pytest.raises(errors.InvalidInput, match="cannot be written"):
        support.bundle(shared, str(tmp_path / "nowhere" / "bundle.tar.gz"), [])
