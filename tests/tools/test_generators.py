# SPDX-License-Identifier: Apache-2.0
"""Do the tools of oslo print samples of our settings and rules?"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from karbor.api.v1.tree import ENDPOINTS

BIN = Path(sys.executable).parent
GENCONFIG = Path(__file__).resolve().parents[2] / "tools" / "genconfig.py"


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return done.stdout


def sections(text):
    return set(re.findall(r"^\[(.+)\]$", text, re.MULTILINE))


@pytest.mark.timeout(600)
def test_settings_of_ours_and_of_plugins_are_printed():
    text = run(BIN / "oslo-config-generator", "--namespace", "karbor")
    assert {"DEFAULT", "database", "jobs", "libvirt", "vault"} <= sections(text)
    assert "#auth_strategy = noauth" in text
    assert "#host = <name of this host>" in text


@pytest.mark.timeout(600)
def test_the_whole_sample_has_the_libraries_as_well(tmp_path):
    run(sys.executable, GENCONFIG, "--output-file", tmp_path / "sample")
    text = (tmp_path / "sample").read_text()
    assert {"cors", "healthcheck", "keystone_authtoken", "libvirt", "oslo_middleware", "oslo_policy"} <= sections(text)
    assert "X-Auth-Token" in text


@pytest.mark.timeout(600)
def test_the_sample_of_a_provider_names_bank_and_protections():
    text = run(BIN / "oslo-config-generator", "--namespace", "karbor.provider")
    assert {"provider", "file_system_bank_plugin"} <= sections(text)
    assert "file_system_bank_path" in text


@pytest.mark.timeout(600)
def test_every_rule_is_printed_with_its_operation():
    text = run(BIN / "oslopolicy-sample-generator", "--namespace", "karbor")
    for endpoint in ENDPOINTS:
        if endpoint.operation.rule:
            assert f'#"{endpoint.operation.rule}": ' in text
            assert f"# {endpoint.method}  {endpoint.path}" in text
    assert "DEPRECATED" not in text
    assert "# Intended scope(s): project, system" in text
