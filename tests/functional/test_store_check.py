# SPDX-License-Identifier: Apache-2.0
"""Does ``karbor-manage bank check URL`` try a store by its address, and leave it as it was?"""

import json
import subprocess
from argparse import Namespace

import pytest

from karbor.app import wiring
from karbor.cmd import storecheck
from karbor.model import errors
from tests.support import servers
from tests.support.api import make_conf
from tests.support.moto import moto
from tests.support.readinghouse import PROVIDER, ReadingHouse
from tests.support.service import BIN


@pytest.fixture(scope="module")
def house():
    with servers.directory() as root:
        made = ReadingHouse(root, [("OS::Libvirt::Disk#vda@guest", bytes(4096))])
        yield made
        made.close()


@pytest.fixture(scope="module")
def application(house):
    made = wiring.build(make_conf([str(house.settings)], enabled_hypervisors=[]), [])
    yield made
    made.stop()


def check(application, store, large=1):
    return storecheck.check(application, Namespace(store=store, large=large, json=True))


def files(path):
    """All but the file that says whose turn it is: it stays when something was locked for a moment."""
    found = (entry for entry in path.rglob("*") if entry.is_file() and entry.name != ".kept-turn")
    return sorted(str(entry.relative_to(path)) for entry in found)


def test_a_directory_and_the_bank_of_a_provider_pass_and_stay_as_they_were(house, application):
    place = house.root / "place"
    place.mkdir()
    before = files(house.root / "bank")
    for store in (f"file://{place}", PROVIDER):
        told = check(application, store)
        assert (told["sound"], told["counts"]["broken"]) == (True, 0)
        assert all(entry["kept"] for entry in told["entries"])
    assert not list(place.iterdir())
    assert files(house.root / "bank") == before


def test_a_bucket_passes_with_keys_of_the_environment(application, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with moto() as server:
        told = check(application, f"s3://backups?endpoint={server.url}&region=us-east-1&part_size=5", large=6)
    assert told["sound"], told
    assert "an empty one was made" in told["counts"]["note"]


@pytest.mark.parametrize(
    "store",
    ["file:///nowhere/at/all", "ftp://x", "not-a-provider", "s3://b?secret_key=x", "s3://b?strange=x", "s3:///b"],
)
def test_what_is_no_store_is_refused(application, store):
    with pytest.raises(errors.InvalidInput):
        check(application, store)


def test_the_command_tells_of_each_condition_and_wants_one_thing_to_look_at(house):
    def run(*arguments):
        command = [str(BIN / "karbor-manage"), "--config-file", str(house.settings), "bank", "check", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=300)

    done = run(f"file://{house.root}", "--large", "1", "--json")
    assert (done.returncode, json.loads(done.stdout)["sound"]) == (0, True)
    refused = run("--provider", PROVIDER, f"file://{house.root}")
    assert refused.returncode == 1 and "either a provider" in refused.stderr
