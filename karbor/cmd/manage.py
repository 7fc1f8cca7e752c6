# SPDX-License-Identifier: Apache-2.0
"""What can an operator do beside the API: database, keys, banks, services?"""

from karbor.common import threaded  # noqa: F401  isort: skip - must come before oslo_messaging

import argparse
import json
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from karbor.app import roles, wiring
from karbor.cmd import daemon
from karbor.common.clock import iso
from karbor.model import errors
from karbor.vault.keys import MasterKey


def _db_sync(application: wiring.Application, _given: argparse.Namespace) -> Any:
    application.shared.database.upgrade()
    return {"database": "is at the newest version"}


def _service_list(application: wiring.Application, _given: argparse.Namespace) -> Any:
    with application.shared.database.read() as rows:
        return [
            {"binary": entry.binary, "host": entry.host, "updated_at": iso(entry.updated_at)}
            for entry in rows.services.list()
        ]


def _key_create(application: wiring.Application, _given: argparse.Namespace) -> Any:
    path = Path(application.shared.conf.vault.master_key_file)
    MasterKey.create(path)
    return {"key": str(path), "next": "keep a copy in a safe place: without it no checkpoint can be read"}


def _bank_init(application: wiring.Application, given: argparse.Namespace) -> Any:
    environment = roles.make_environment(application.shared)
    provider = roles.make_providers(application.shared, environment).get(given.provider)
    return {"provider": provider.info.name, "bank": provider.bank.initialise()}


def _version(_application: wiring.Application, _given: argparse.Namespace) -> Any:
    return {"version": metadata.version("karbor")}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="karbor-manage", description="Maintenance of a Karbor installation.")
    parser.add_argument("--config-file", action="append", help="settings to read (as the daemons do)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    categories = parser.add_subparsers(required=True, metavar="CATEGORY")

    def verb(category: Any, name: str, function: Callable[..., Any], help_: str) -> argparse.ArgumentParser:
        found: argparse.ArgumentParser = category.add_parser(name, help=help_, description=help_)
        found.set_defaults(function=function)
        return found

    def category(name: str, help_: str) -> Any:
        return categories.add_parser(name, help=help_).add_subparsers(required=True, metavar="VERB")

    verb(category("db", "the database"), "sync", _db_sync, "Create the tables, or bring them up to date.")
    verb(category("service", "the daemons"), "list", _service_list, "Show when each daemon was last heard of.")
    verb(category("key", "the master key"), "create", _key_create, "Make a new master key; never replaces one.")
    bank = category("bank", "banks")
    verb(bank, "init", _bank_init, "Make the bank of a provider where there is none.").add_argument("provider")
    verb(category("version", "this release"), "list", _version, "Show the version.")
    return parser


def main() -> None:
    """karbor-manage."""
    given = _parser().parse_args()
    conf = daemon.read_settings([], files=given.config_file)
    try:
        answer = given.function(wiring.build(conf, []), given)
    except errors.KarborError as fault:
        sys.exit(f"karbor-manage: {fault.operator_text()}")
    rows = answer if isinstance(answer, list) else [answer]
    if given.json:
        print(json.dumps(answer, indent=1))  # noqa: T201
    else:
        for row in rows:
            print("  ".join(f"{name}: {value}" for name, value in row.items()))  # noqa: T201
