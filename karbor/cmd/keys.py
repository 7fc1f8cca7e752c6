# SPDX-License-Identifier: Apache-2.0
"""What does ``karbor-manage key`` do: make, list, rotate, retire, destroy?"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from karbor.app import roles, wiring
from karbor.clients.sealedlogins import LoginSeal
from karbor.conf.clients import GROUP
from karbor.model import errors
from karbor.protection.projectkeys import KeyDestruction
from karbor.protection.providers import Provider
from karbor.vault.keys import MasterKey

_STEP = 100  # keys between two lines of progress

Verb = Callable[..., argparse.ArgumentParser]


def add_verbs(verb: Verb) -> None:
    """The verbs of the category."""
    create = verb("create", _create, "Make a new master key file; never replaces one.")
    create.add_argument("--file", help="where; by default what the settings name")
    login = verb("login", _login, "Make a key file for the logins of restores into other clouds; never replaces one.")
    login.add_argument("--file", help="where; by default what the settings name")
    _of_providers(verb("list", _list, "Show which master keys wrap each key, in the banks of all providers."))
    rotate = verb(
        "rotate", _rotate,
        "Wrap every key with the current master key. Writes no data again; may be run again at any time.",
    )  # fmt: skip
    retire = verb("retire", _retire, "Remove what an old master key wrapped, where the current one wraps everything.")
    retire.add_argument("master_key_id", type=_master_key_id, help="as key list shows it")
    destroy = verb(
        "destroy", _destroy,
        "Destroy the key of a project: nobody can read its data in these banks any more. Cannot be undone.",
    )  # fmt: skip
    destroy.add_argument("project", help="id of the project")
    destroy.add_argument("--yes", action="store_true", help="do not ask")
    sealer = verb(
        "sealer", _sealer,
        "Write a sealer file: with it a worker can make checkpoints of a project, but read none of earlier ones.",
    )  # fmt: skip
    sealer.add_argument("project", help="id of the project")
    sealer.add_argument("--provider", required=True, help="id of the provider")
    sealer.add_argument("--output", required=True, metavar="FILE.seal", help="the file to write")
    for command in (rotate, retire, destroy):
        _of_providers(command)
        command.add_argument("--dry-run", action="store_true", help="tell what would be done; write nothing")


def _of_providers(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--provider", action="append", help="id of a provider; may be repeated. Otherwise those of all provider files"
    )


def _master_key_id(text: str) -> str:
    if len(text) != 32 or bytes.fromhex(text).hex() != text:
        raise ValueError(text)
    return text


def _create(application: wiring.Application, given: argparse.Namespace) -> Any:
    path = Path(given.file or application.shared.conf.vault.master_key_file)
    key = MasterKey.create(path)
    next_ = "keep a copy in a safe place: without it no checkpoint can be read"
    return {"key": str(path), "id": key.id.hex(), "next": next_}


def _login(application: wiring.Application, given: argparse.Namespace) -> Any:
    named = given.file or application.shared.conf[GROUP].login_key_file
    if not named:
        raise errors.InvalidInput("Name the file: login_key_file in [clients] is not set.")
    LoginSeal.create(Path(named))
    next_ = "give karbor-api and karbor-protection the same file, and name it as login_key_file in [clients]"
    return {"key": named, "next": next_}


def _providers(application: wiring.Application, given: argparse.Namespace | None = None) -> Sequence[Provider]:
    registry = roles.make_providers(application.shared, roles.make_environment(application.shared))
    if registry.problems:
        name, reason = next(iter(registry.problems.items()))
        raise errors.ConfigurationError(f"The provider file {name} cannot be used.", detail=reason)
    wanted = given.provider if given is not None else None
    return [registry.get(one) for one in wanted] if wanted else list(registry)


def _progress() -> Callable[[], None]:
    """Tells on the standard error how many keys were looked at."""
    seen = 0

    def looked_at() -> None:
        nonlocal seen
        seen += 1
        if seen % _STEP == 0:
            print(f"{seen} keys", file=sys.stderr)  # noqa: T201

    return looked_at


def _list(application: wiring.Application, given: argparse.Namespace) -> Any:
    entries: list[dict[str, Any]] = []
    for provider in _providers(application, given):
        rotation = provider.vault.rotation(_progress())
        for found in rotation.entries():
            label = rotation.label(found)
            entries.append({"provider": provider.id, **found.to_dict(), **({"project": label} if label else {})})
    counts: dict[str, int] = {}
    for entry in entries:
        for master in entry["wrapped by"]:
            counts[master] = counts.get(master, 0) + 1
    return {"entries": entries, "counts": counts}


def _rotate(application: wiring.Application, given: argparse.Namespace) -> Any:
    entries: list[dict[str, Any]] = []
    total: dict[str, int] = {}
    for provider in _providers(application, given):
        found = provider.vault.rotation(_progress()).rotate(dry_run=given.dry_run)
        entries += [{"provider": provider.id, **entry} for entry in found["entries"]]
        for name, number in found["counts"].items():
            total[name] = total.get(name, 0) + number
    return {"entries": entries, "counts": total, "sound": not entries}


def _sealer(application: wiring.Application, given: argparse.Namespace) -> Any:
    registry = roles.make_providers(application.shared, roles.make_environment(application.shared))
    sealer = registry.get(given.provider).vault.sealer(given.project)
    sealer.save(Path(given.output))
    next_ = "put it into the directory sealer_dir of the worker (mode 0600)"
    return {"sealer": given.output, "project": given.project, "bank": sealer.bank, "next": next_}


def _retire(application: wiring.Application, given: argparse.Namespace) -> Any:
    entries = []
    for provider in _providers(application, given):
        rotation = provider.vault.rotation(_progress())
        entries.append(
            {"provider": provider.id, **rotation.retire(given.master_key_id, dry_run=given.dry_run)["counts"]}
        )
    return entries


def _destroy(application: wiring.Application, given: argparse.Namespace) -> Any:
    named = _providers(application, given)
    if not (given.yes or given.dry_run):
        names = ", ".join(provider.info.name for provider in named)
        print(f"Nobody will ever read the data of project {given.project} in {names} again.", file=sys.stderr)  # noqa: T201
        print("Type the id of the project to go on: ", end="", file=sys.stderr, flush=True)  # noqa: T201
        if sys.stdin.readline().strip() != given.project:
            raise errors.Cancelled("Nothing was destroyed.")
    known = {provider.id for provider in named}
    others = [provider for provider in _providers(application) if provider.id not in known]
    shared = application.shared
    work = KeyDestruction(shared.database, named, others=others, now=shared.clock.now())
    return work.run(given.project, dry_run=given.dry_run)
