# SPDX-License-Identifier: Apache-2.0
"""Does a master key that lies in a real Barbican serve all its life, and does every failure of Barbican say what to do?

A real Keystone, the Barbican of Debian, the embedded service, and a guest that is shut off with one small disk.
"""

import base64
import json
import os
import secrets
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from karbor.model import errors
from karbor.vault.castellankeys import CastellanKeys
from karbor.vault.keys import MasterKey
from karbor.vault.keysource import CASTELLAN, KeySource
from tests.support import barbican as support
from tests.support import commandedbank, markers
from tests.support.httptwin import forward, httptwin
from tests.support.keysource_suite import ServiceSuite
from tests.support.qemu_writer import MIB, RAW, Guest, Host
from tests.support.service import BIN, Embedded

pytestmark = [pytest.mark.system, pytest.mark.libvirt, pytest.mark.timeout(1800)]
# All that libraries tell of requests and answers is in the log, so that the last test sees what could be there.
SETTINGS = """[DEFAULT]
report_interval = 1
default_log_levels = keystoneauth=DEBUG,urllib3=DEBUG,castellan=DEBUG,barbicanclient=DEBUG
[jobs]
lease = 2
poll = 0.2
attempts = 100000
retry_delay = 1
grace = 2
[vault]
"""
PROVIDER = """[provider]
name = kept
description = With a master key in Barbican
id = 5e1f5a1e-0a0e-4f0e-8a55-3b1f3a7c9e11
plugin = karbor-libvirt-domain-protection-plugin
plugin = karbor-libvirt-disk-protection-plugin
bank = {bank}
enabled = True
[commanded_bank]
file_system_bank_path = {place}
"""
PATIENCE = 300


@pytest.fixture(scope="module")
def barbican(keystone):
    with support.barbican(keystone) as found:
        yield found


class Place:
    """Barbican, as the suite wants a place of keys. A busy machine may take long for each answer."""

    def __init__(self, barbican, root):
        self._barbican, self._root = barbican, root
        self._stored = []
        self._settings = barbican.settings(root)
        self.store, self.raw, self.remove = self._kept(barbican.store_text), self._kept(barbican.store), barbican.delete
        self.away = barbican.away

    def _kept(self, store):
        def kept(secret):
            self._stored.append(store(secret))
            return self._stored[-1]

        return kept

    def source(self, name, *others):
        return KeySource(CASTELLAN, name, others, self._settings, seconds=PATIENCE)

    def forbidden(self):
        return self._barbican.forbidden(*self._stored)

    @contextmanager
    def hanging(self):
        (self._root / "hanging").mkdir()
        with httptwin(forward(self._barbican.server.port)) as twin:
            settings = self._barbican.settings(self._root / "hanging", url=twin.url)
            twin.fail("hang", times=1000)
            yield lambda source: replace(source, castellan_config=settings, seconds=1)


class TestBarbican(ServiceSuite):
    @pytest.fixture
    def place(self, barbican, tmp_path):
        return Place(barbican, tmp_path)


def test_a_key_that_barbican_made_and_one_that_is_named_by_its_address(barbican, tmp_path):
    manager = CastellanKeys(barbican.settings(tmp_path), seconds=PATIENCE)
    secret = secrets.token_bytes(32)
    kinds = {"algorithm": "aes", "bit_length": 256, "secret_type": "symmetric"}
    address = f"{barbican.url}/v1/secrets/{barbican.store(secret, **kinds)}"
    assert manager.load(address) == MasterKey(secret)


@pytest.mark.parametrize("wrong", [
    {"user": "nosy"},
    {"password": "no-such-password"},
    {"project_name": "beta"},
    {"auth_type": "keystone_token", "token": ""},
])  # fmt: skip
def test_a_login_that_is_refused_says_so(barbican, keystone, tmp_path, wrong):
    if "token" in wrong:
        wrong = {**wrong, "token": keystone.expired_token("ann")}
    manager = CastellanKeys(barbican.settings(tmp_path, **wrong), seconds=PATIENCE)
    with pytest.raises(errors.KeyUnavailable) as told:
        manager.load(barbican.store(secrets.token_bytes(32)))
    assert told.value.permanent and "login" in told.value.next_action
    text = told.value.operator_text()
    assert support.LOGIN not in text and "gAAAA" not in text and "no-such-password" not in text


class Site:
    """A service whose master key lies in Barbican, with a guest to protect."""

    def __init__(self, root, barbican):
        self.root, self.barbican = root, barbican
        self.secrets, self.ids = [], []
        self.host = Host()
        self.machine = Guest(self.host, root, {"vda": RAW})
        self.write(1)
        (root / "packages").mkdir()
        self.service = Embedded(root / "karbor", libvirt_uri=self.host.uri, settings=SETTINGS)
        self.service.environment = commandedbank.install(root / "packages")
        barbican.settings(root)
        (self.service.state_dir / "providers.d").mkdir(parents=True)
        (self.service.state_dir / "providers.d" / "libvirt.conf").write_text(
            PROVIDER.format(bank=commandedbank.NAME, place=self.service.state_dir / "bank" / "libvirt")
        )

    def keep(self):
        """Make a master key in Barbican; its id."""
        self.secrets.append(secrets.token_bytes(32))
        self.ids.append(self.barbican.store_text(self.secrets[-1].hex()))
        return self.ids[-1]

    def use(self, key, *others, **more):
        """Let the service, begun anew, have these keys."""
        self.set(key, *others, **more)
        self.restart()

    def set(self, key, *others, **more):
        """Change the settings."""
        given = {
            "master_key_source": CASTELLAN,
            "castellan_config": self.root / "castellan.conf",
            "master_key_id": key,
            "other_master_key_ids": ",".join(others),
            "key_manager_timeout": PATIENCE,
            **more,
        }
        lines = "".join(f"{name} = {value}\n" for name, value in given.items())
        self.service.state_dir.with_suffix(".conf").write_text(SETTINGS + lines)

    def restart(self):
        if self.service.process:
            self.service.kill()
        self.service.start()
        self.provider = self.service.rest.provider("Libvirt::Domain")

    def write(self, byte):
        self.machine.write("vda", 0, 2 * MIB, byte)

    def plan(self):
        resource = {"id": self.machine.id, "type": "Libvirt::Domain", "name": self.machine.name}
        return self.service.rest.plan(self.provider, [resource])

    def restores(self, checkpoint):
        """Whether a restore gives back what the disk holds now."""
        name = f"again-{secrets.token_hex(4)}"
        (self.root / name).mkdir()
        options = {"restore_name": name, "directory": str(self.root / name)}
        ended = self.service.rest.restore(checkpoint, {"Libvirt::Domain": options}, PATIENCE)
        assert ended["status"] == "success", ended["resources_reason"]
        self.host.connection().lookupByName(name).undefine()
        (image,) = (self.root / name).iterdir()
        compare = ["qemu-img", "compare", "-q", image, self.machine.paths["vda"]]
        return subprocess.run(compare, check=False).returncode == 0

    def manage(self, *arguments):
        """The JSON of ``karbor-manage``."""
        files = (self.service.state_dir / "karbor.conf", self.service.state_dir.with_suffix(".conf"))
        settings = [part for file in files for part in ("--config-file", file)]
        command = [BIN / "karbor-manage", *settings, *arguments, "--json"]
        environment = {**os.environ, "PYTHONWARNINGS": "ignore", **self.service.environment}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def refusal(self):
        """What a tenant is told who wants a checkpoint."""
        plan = self.plan()
        path, wish = f"/providers/{self.provider}/checkpoints", {"checkpoint": {"plan_id": plan["id"]}}
        self.service.rest.wait_for(lambda: self.service.rest.send("POST", path, wish)[0] == 503, PATIENCE)
        return json.dumps(self.service.rest.send("POST", path, wish)[1])

    def close(self):
        if self.service.process:
            self.service.kill()
        self.machine.remove()
        self.host.stop()


@pytest.fixture(scope="module")
def site(barbican):
    with tempfile.TemporaryDirectory(prefix="kk-", dir="/tmp") as path:
        Path(path).chmod(0o711)
        made = Site(Path(path), barbican)
        try:
            made.use(made.keep())
            yield made
        finally:
            made.close()


def test_another_master_key_takes_over_and_the_old_one_ends(site):
    made = site.service.rest.protect(site.plan(), PATIENCE)
    old, new = site.ids[-1], site.keep()
    site.set(new, old)
    done = site.manage("key", "rotate")
    assert done["sound"] and done["counts"]["left"] == 0 and done["counts"]["wrapped now"], done
    site.manage("key", "retire", MasterKey(site.secrets[-2]).id.hex())
    site.barbican.delete(old)
    site.use(new)
    assert site.restores(made)


def test_jobs_go_on_while_barbican_is_away_and_those_of_a_new_worker_wait_for_it(site):
    rest, bank = site.service.rest, site.service.state_dir / "bank"
    plan = site.plan()
    site.write(2)
    (bank / "hang").write_text("")
    asked = rest.start_checkpoint(plan)
    rest.wait_for((bank / "waiting").exists, PATIENCE)
    with site.barbican.away():
        _heal(bank)
        assert rest.checkpoint(plan, asked, seconds=PATIENCE)["status"] == "available"
        site.write(3)
        (bank / "hang").write_text("")
        asked = rest.start_checkpoint(plan)
        rest.wait_for((bank / "waiting").exists, PATIENCE)
        site.service.kill()
        _heal(bank)
        rest = site.service.start().rest
        rest.wait_for(lambda: "key manager" in json.dumps(rest.get("/operation_logs")), PATIENCE)
        assert "The key manager that keeps the master key cannot be reached" in site.refusal()
        assert rest.get(f"/providers/{site.provider}/checkpoints/{asked}")["checkpoint"]["status"] == "protecting"
    made = rest.checkpoint(plan, asked, seconds=PATIENCE)
    assert made["status"] == "available", made
    assert site.restores(made)


def _heal(bank):
    for word in ("hang", "waiting"):
        (bank / word).unlink(missing_ok=True)


def test_a_secret_that_somebody_deleted_is_named_and_can_be_put_back(site):
    made = site.service.rest.protect(site.plan(), PATIENCE)
    lost = site.ids[-1]
    site.barbican.delete(lost)
    site.restart()
    told = site.refusal()
    assert "has no such master key" in told and lost not in told
    log = site.service.log()
    assert f"cause: {lost}; next: let the operator store the copy of this master key there again" in log
    site.ids[-1] = site.barbican.store_text(base64.b64encode(site.secrets[-1]).decode())
    site.use(site.ids[-1])
    assert site.restores(made)


def test_a_worker_that_only_seals_needs_no_barbican(site):
    project = site.service.rest.url.rpartition("/")[2]
    seals = site.root / "seals"
    seals.mkdir()
    output = str(seals / "project.seal")
    site.manage("key", "sealer", project, "--provider", site.provider, "--output", output)
    site.use(site.ids[-1], sealer_dir=seals, castellan_config=site.root / "nothing")
    made = site.service.rest.protect(site.plan(), PATIENCE)
    site.use(site.ids[-1])
    assert site.restores(made)


def test_the_end_of_a_project(site):
    made = site.service.rest.protect(site.plan(), PATIENCE)
    project = site.service.rest.url.rpartition("/")[2]
    done = site.manage("key", "destroy", project, "--yes")
    assert "destroyed" in {entry["key"] for entry in done["entries"]}, done
    path = f"/providers/{site.provider}/checkpoints/{made['id']}"
    assert site.service.rest.get(path)["checkpoint"]["status"] == "error"


def test_nothing_secret_was_written_anywhere(site):
    texts = {secret.hex() for secret in site.secrets} | {base64.b64encode(secret).decode() for secret in site.secrets}
    texts.add(support.LOGIN)
    places = [site.service.state_dir, site.service.state_dir.with_suffix(".err"), site.barbican.home / "barbican.log"]
    files = [file for place in places for file in ([place] if place.is_file() else place.rglob("*")) if file.is_file()]
    log = site.service.log()
    assert f"/v1/secrets/{site.ids[-1]}/payload" in log, "libraries were to tell of their requests"
    for file in files:
        data = file.read_bytes()
        assert not [secret for secret in site.secrets if secret in data], file
        assert markers.found(data, texts) == [], file
        assert b"gAAAA" not in data, file
