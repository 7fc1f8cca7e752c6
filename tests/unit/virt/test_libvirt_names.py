# SPDX-License-Identifier: Apache-2.0
"""Are trackers, captures and their files found again by name alone?"""

import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karbor.model import errors
from karbor.virt import libvirt_names as names
from karbor.virt.libvirt_names import CaptureFiles

DOMAIN = "6f0c2f5e-26ac-4f7d-9a3b-6cc0f2d0a001"
SCOPE = "22222222-bbbb-4000-8000-000000000002"
TOKEN = "11111111-1111-4111-8111-111111111111"


@given(domain=st.uuids(), scope=st.uuids(), token=st.uuids(), target=st.sampled_from(["vda", "sdab", "hd_1"]))
def test_every_file_of_a_capture_says_whose_it_is(domain, scope, token, target):
    files = CaptureFiles(Path("/scratch"), str(domain), str(scope), str(token))
    for path, kind, disk in (
        (files.record, "capture", ""),
        (files.scratch(target), "scratch", target),
        (files.overlay(target), "overlay", target),
    ):
        found = names.parse_file(path)
        assert found == names.FileName(str(domain), scope.hex[:8], str(token), disk, kind)
    assert names.parse_frozen(files.frozen_marker()) == str(domain)


@pytest.mark.parametrize(
    "name", ["karbor-x.capture", "a.scratch", f"karbor-{DOMAIN}-s-t.other", f"karbor-{DOMAIN}.sock"]
)
def test_other_files_are_nobodys(name):
    assert names.parse_file(name) is None and names.parse_frozen(name) is None


def test_a_tracker_is_known_by_its_scope_only():
    name = names.tracker_name(SCOPE, TOKEN)
    assert name == f"karbor-22222222-{TOKEN}"
    assert names.tracker_token(SCOPE, name) == TOKEN
    assert names.tracker_token("33333333-0000", name) is None
    assert names.tracker_token(SCOPE, "somebody-else") is None


@pytest.mark.parametrize("token", ["", "../x", "a b", "x" * 65, "-x"])
def test_a_token_that_could_leave_the_directory_is_refused(token):
    with pytest.raises(errors.InvalidInput):
        names.tracker_name(SCOPE, token)


def test_a_socket_path_that_is_too_long_is_an_error_of_the_configuration():
    assert len(str(CaptureFiles(Path("/scratch"), DOMAIN, SCOPE, TOKEN).socket)) < 60
    with pytest.raises(errors.ConfigurationError):
        _ = CaptureFiles(Path("/" + "x" * 100), DOMAIN, SCOPE, TOKEN).socket


def test_a_disk_keeps_its_id_and_differs_from_others():
    ids = {names.disk_id(domain, target) for domain in (DOMAIN, TOKEN) for target in ("vda", "vdb")}
    assert len(ids) == 4 and names.disk_id(DOMAIN, "vda") in ids
    assert uuid.UUID(names.disk_id(DOMAIN, "vda"))
