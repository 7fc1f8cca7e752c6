# SPDX-License-Identifier: Apache-2.0
"""Does ``karbor-manage checkpoint files`` get single files out of a checkpoint?"""

import base64
import io
import tarfile
from argparse import Namespace

import pytest

from karbor.app import roles, wiring
from karbor.cmd import files
from karbor.model import errors
from karbor.protection.filecontent import read_file
from karbor.protection.filelisting import list_files
from karbor.rpc.interface import FILE_PART
from tests.support import images, servers
from tests.support.api import make_conf
from tests.support.images import BIG
from tests.support.readinghouse import CHECKPOINT, PROVIDER, ReadingHouse
from tests.support.rows import PROJECT

KEYS = ("Libvirt::Disk#vda@guest", "Libvirt::Disk#vdb@guest")


@pytest.fixture(scope="module")
def application(tmp_path_factory):
    with servers.directory() as root:
        house = ReadingHouse(root, [(KEYS[0], images.ext4(tmp_path_factory.mktemp("ext4"))), (KEYS[1], bytes(1 << 20))])
        made = wiring.build(make_conf([str(house.settings)], enabled_hypervisors=[]), [])
        yield made
        made.stop()
        house.close()


def run(application, do, path="/", resource=KEYS[0], **more):
    given = {"checkpoint": CHECKPOINT, "stream": None, "volume": None, "output": None, "json": False, **more}
    return files.files(application, Namespace(do=do, path=path, resource=resource, **given))


def test_a_directory_is_listed_with_names_that_cannot_steer_a_terminal(application):
    told = run(application, "list")
    names = {entry["name"]: entry for entry in told["entries"]}
    assert {"big", "deep", "esc\\x1b[31m"} <= set(names)
    assert (names["big"]["kind"], names["big"]["mode"], names["big"]["size"]) == ("file", "0640", len(BIG))
    assert "not frozen" in told["counts"]["note"]
    [link] = [entry for entry in run(application, "list", "/deep")["entries"] if entry["kind"] == "link"]
    assert link["target"] == "../../etc/passwd"


def test_a_file_comes_out_as_it_was_into_a_new_file(application, tmp_path):
    out = tmp_path / "big"
    told = run(application, "get", "/big", output=str(out))
    assert (told["bytes"], out.read_bytes() == BIG, out.stat().st_mode & 0o777) == (len(BIG), True, 0o600)
    with pytest.raises(errors.InvalidInput):
        run(application, "get", "/big", output=str(out))
    with pytest.raises(errors.StepFailed):
        run(application, "get", "/nothing", output=str(tmp_path / "other"))
    assert not (tmp_path / "other").exists()


def test_a_directory_comes_out_as_a_tar(application, tmp_path):
    out = tmp_path / "all.tar"
    told = run(application, "tar", output=str(out))
    with tarfile.open(fileobj=io.BytesIO(out.read_bytes())) as archive:
        entries = {entry.name: entry for entry in archive}
        assert archive.extractfile("big").read() == BIG
        assert archive.extractfile("deep/a b/name").read() == b"deep\n"
    assert told["files"] == len(entries)
    assert (entries["big"].mode, entries["big"].mtime) == (0o640, images.TIME)
    assert (entries["deep/link"].issym(), entries["deep/link"].linkname) == (True, "../../etc/passwd")


def test_a_worker_tells_volumes_and_a_page_of_a_directory(application):
    providers = roles.make_providers(application.shared, roles.make_environment(application.shared))
    try:
        provider = providers.get(PROVIDER)
        wish = {"resource": KEYS[0], "stream": None, "volume": None, "path": "/many", "after": "file-2", "limit": 3}

        def ask(project=PROJECT, **more):
            return list_files(provider, {**wish, **more}, project_id=project, checkpoint_id=CHECKPOINT)

        told = ask()
        assert [file["name"] for file in told["files"]] == ["file-20", "file-200", "file-201"]
        assert ([volume["format"] for volume in told["volumes"]], "not frozen" in told["note"]) == (["ext"], True)
        assert ask(path=None)["files"] == []
        for wrong in ({"path": "/nothing"}, {"volume": "p9"}, {"resource": None}):
            with pytest.raises(errors.InvalidInput):
                ask(**wrong)
        with pytest.raises(errors.KarborError):
            ask(project="another")
    finally:
        providers.close()


def test_a_worker_reads_a_part_of_a_file(application):
    providers = roles.make_providers(application.shared, roles.make_environment(application.shared))
    try:
        provider = providers.get(PROVIDER)
        wish = {"resource": KEYS[0], "stream": None, "volume": None, "path": "/big"}

        def ask(offset, length, **more):
            found = read_file(
                provider, {**wish, **more}, project_id=PROJECT, checkpoint_id=CHECKPOINT, offset=offset, length=length
            )
            assert (found["name"], found["modified"]) == ("big", images.TIME)
            return found["size"], base64.b64decode(found["data"])

        for offset, length in ((0, FILE_PART), (5, 7), (4097, 70_000), (0, 0), (len(BIG) - 3, 100), (1 << 50, 100)):
            assert ask(offset, length) == (len(BIG), BIG[offset : offset + length])
        wrong = (
            {"path": "/deep"}, {"path": "/nothing"}, {"path": "/"}, {"path": "/../etc/passwd"}, {"path": "/deep/link"},
        )  # fmt: skip
        for more in wrong:
            with pytest.raises(errors.InvalidInput):
                ask(0, 10, **more)
        for offset, length in ((0, FILE_PART + 1), (-1, 1), (0, -1)):
            with pytest.raises(errors.InvalidInput):
                ask(offset, length)
    finally:
        providers.close()


@pytest.mark.parametrize("wish", [{"resource": None}, {"do": "get"}, {"resource": "none"}, {"resource": KEYS[1]}])
def test_what_is_not_clear_or_not_there_is_refused(application, wish):
    with pytest.raises(errors.KarborError):
        run(application, **{"do": "list", **wish})
