# SPDX-License-Identifier: Apache-2.0
"""How does the whole service run in one process that needs nothing but a directory?

``karbor-all-in-one --state-dir DIR`` makes, on the first start only, under DIR: karbor.conf, providers.d, a master key,
a directory bank and an SQLite database. Later starts use what is there, and never make a bank or a key anew.
"""

from karbor.common import threaded  # noqa: F401  isort: skip - must come before oslo_messaging

import argparse
import sys
import uuid
from pathlib import Path

from karbor.app import embedded, roles, wiring
from karbor.cmd import daemon
from karbor.model import errors


def main() -> None:
    """karbor-all-in-one."""
    parser = argparse.ArgumentParser(prog="karbor-all-in-one", description="Karbor in one process, for one KVM host.")
    parser.add_argument("--state-dir", required=True, type=Path, help="directory for everything the service keeps")
    parser.add_argument("--port", type=int, help="port on 127.0.0.1 (8799; 0 takes a free one)")
    parser.add_argument("--libvirt-uri", help="libvirt connection (qemu:///system)")
    parser.add_argument("--config-file", action="append", default=[], help="more settings, read after DIR/karbor.conf")
    given = parser.parse_args()
    try:
        files = embedded.prepare(given.state_dir.resolve(), port=given.port, libvirt_uri=given.libvirt_uri)
    except (errors.KarborError, OSError) as fault:
        text = fault.operator_text() if isinstance(fault, errors.KarborError) else str(fault)
        sys.exit(f"karbor cannot start: {text}")
    conf = daemon.read_settings([], files=[*files, *given.config_file])
    played = [roles.ProtectionRole, roles.EngineRole, roles.ApiRole]
    daemon.run(conf, played, announce=_announce)


def _announce(application: wiring.Application) -> None:
    conf = application.shared.conf
    port = next(role.port for role in application.roles if isinstance(role, roles.ApiRole))
    project = conf.default_project or uuid.UUID(int=0).hex
    print(f"karbor ready: http://127.0.0.1:{port}/v1/{project}", flush=True)  # noqa: T201
