# SPDX-License-Identifier: Apache-2.0
"""What can an operator do beside the API: database, keys, banks, services?"""

from karbor.common import threaded  # noqa: F401  isort: skip - must come before oslo_messaging

import argparse
import functools
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib import metadata
from typing import Any

from karbor.app import roles, wiring
from karbor.app.jobs import Jobs
from karbor.cmd import boot, daemon, files, keys, leftovers, locks, outlook, serve, storecheck, support
from karbor.common.clock import iso
from karbor.model import errors
from karbor.protection import cleaner
from karbor.protection.bankcheck import BankCheck
from karbor.protection.catalog import Rebuild
from karbor.vault.report import LEVELS


def _db_sync(application: wiring.Application, _given: argparse.Namespace) -> Any:
    application.shared.database.upgrade()
    return {"database": "is at the newest version"}


def _service_list(application: wiring.Application, _given: argparse.Namespace) -> Any:
    shared = application.shared
    now, down_after = shared.clock.now(), shared.conf.service_down_time
    with shared.database.read() as rows:
        found = rows.services.list()
    return [
        {
            "binary": entry.binary,
            "host": entry.host,
            "state": "up" if entry.is_up(now, down_after=down_after) else "down",
            "status": "disabled" if entry.disabled else "enabled",
            "updated_at": iso(entry.updated_at),
        }
        for entry in found
    ]


def _bank_init(application: wiring.Application, given: argparse.Namespace) -> Any:
    environment = roles.make_environment(application.shared)
    provider = roles.make_providers(application.shared, environment).get(given.provider)
    return {"provider": provider.info.name, "bank": provider.bank.initialise()}


def _bank_check(application: wiring.Application, given: argparse.Namespace) -> Any:
    if (given.store is None) == (given.provider is None):
        raise errors.InvalidInput("Name either a provider, to look at what its bank holds, or the URL of a store.")
    if given.store is not None:
        return storecheck.check(application, given)
    environment = roles.make_environment(application.shared)
    provider = roles.make_providers(application.shared, environment).get(given.provider)
    return BankCheck(application.shared.database, provider, level=given.level, advance=lambda _nbytes: None).run()


def _bank_clean(application: wiring.Application, given: argparse.Namespace) -> Any:
    environment = roles.make_environment(application.shared)
    provider = roles.make_providers(application.shared, environment).get(given.provider)
    settings = cleaner.settings_from(application.shared.conf, grace=given.grace)
    return cleaner.clean_bank(provider, settings, pause=time.sleep, dry_run=given.dry_run)


def _catalog_rebuild(application: wiring.Application, given: argparse.Namespace) -> Any:
    environment = roles.make_environment(application.shared)
    provider = roles.make_providers(application.shared, environment).get(given.provider)
    return Rebuild(application.shared.database, provider, dry_run=given.dry_run).run().to_dict()


def _quota_reconcile(application: wiring.Application, given: argparse.Namespace) -> Any:
    drifts = application.shared.database.retrying(lambda rows: rows.quotas.reconcile(given.project))
    return {"entries": [asdict(drift) for drift in drifts], "counts": {"mended": len(drifts)}}


def _jobs(application: wiring.Application) -> Jobs:
    shared = application.shared
    return Jobs(shared.database, shared.clock, down_after=shared.conf.service_down_time)


def _job_list(application: wiring.Application, _given: argparse.Namespace) -> Any:
    return _jobs(application).list()


def _job_release(application: wiring.Application, given: argparse.Namespace) -> Any:
    return _jobs(application).release(given.job, force=given.force)


def _job_abort(application: wiring.Application, given: argparse.Namespace) -> Any:
    return _jobs(application).abort(given.job, force=given.force)


def _support_bundle(application: wiring.Application, given: argparse.Namespace) -> Any:
    return support.bundle(application.shared, given.output, given.log)


def _version(_application: wiring.Application, _given: argparse.Namespace) -> Any:
    return {"version": metadata.version("karbor")}


def _add_bank_verbs(verb: Callable[..., argparse.ArgumentParser]) -> None:
    verb("init", _bank_init, "Make the bank of a provider where there is none.").add_argument("provider")
    clean = verb("clean", _bank_clean, "Give back the space of what no checkpoint needs any more.")
    clean.add_argument("--provider", required=True, help="id of the provider")
    clean.add_argument("--dry-run", action="store_true", help="tell what would be deleted; write nothing")
    clean.add_argument("--grace", type=float, help="seconds that data must have been without use; 0: delete at once")
    check = verb(
        "check", _bank_check,
        "With --provider: look at everything in its bank and tell what is lost. With a URL: try on a store whether it "
        "is fit to be a bank. Ends with 1 where anything is lost, or not fit.",
    )  # fmt: skip
    check.add_argument("--provider", help="id of the provider whose bank is looked at")
    storecheck.add_arguments(check)
    check.add_argument("--level", choices=LEVELS, default=LEVELS[0], help="quick: sizes; data: every byte is read")


def _add_checkpoint_verbs(verb: Callable[..., argparse.ArgumentParser]) -> None:
    text = "Offer the streams of a checkpoint, read-only, over NBD. Prints how to use them; ends when it is told to."
    serve.add_arguments(verb("serve", serve.serve, text))
    text = "Run a guest from a checkpoint at once, and copy its disks while it runs. Given again, goes on with it."
    boot.add_arguments(verb("boot", boot.boot, text))
    text = "Read single files of a checkpoint, without a restore: list a directory, get a file, or all below as a tar."
    files.add_arguments(verb("files", files.files, text))
    locks.add_arguments(verb)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="karbor-manage", description="Maintenance of a Karbor installation.")
    parser.add_argument("--config-file", action="append", help="settings to read (as the daemons do)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    categories = parser.add_subparsers(required=True, metavar="CATEGORY")

    def verb(category: Any, name: str, function: Callable[..., Any], help_: str) -> argparse.ArgumentParser:
        found: argparse.ArgumentParser = category.add_parser(name, help=help_, description=help_)
        found.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
        found.set_defaults(function=function)
        return found

    def category(name: str, help_: str) -> Any:
        return categories.add_parser(name, help=help_).add_subparsers(required=True, metavar="VERB")

    verb(category("db", "the database"), "sync", _db_sync, "Create the tables, or bring them up to date.")
    services = category("service", "the daemons")
    verb(services, "list", _service_list, "Show which daemons live, and when each was last heard of.")
    keys.add_verbs(functools.partial(verb, category("key", "the keys in the banks, and the master key")))
    _add_bank_verbs(functools.partial(verb, category("bank", "banks")))
    rebuild = verb(
        category("catalog", "lists of checkpoints and plans"), "rebuild", _catalog_rebuild,
        "Bring back from the bank of a provider which checkpoints and plans there are. Deletes nothing.",
    )  # fmt: skip
    rebuild.add_argument("--provider", required=True, help="id of the provider")
    rebuild.add_argument("--dry-run", action="store_true", help="only tell what would be done")
    _add_checkpoint_verbs(functools.partial(verb, category("checkpoint", "points in time")))
    outlook.add_verbs(functools.partial(verb, category("retention", "what schedules remove and keep")))
    reconcile = verb(
        category("quota", "what projects may have"), "reconcile", _quota_reconcile,
        "Count what projects have anew, and mend what was counted wrong. Finds nothing as a rule.",
    )  # fmt: skip
    reconcile.add_argument("--project", help="id of one project; all where none is given")
    leftovers.add_verbs(functools.partial(verb, category("cloud", "what jobs made in clouds")))
    jobs = category("job", "the work that waits or runs")
    verb(jobs, "list", _job_list, "Show every job that waits or runs.")
    release = verb(jobs, "release", _job_release, "Take a job from a dead worker; another one goes on with it at once.")
    abort = verb(jobs, "abort", _job_abort, "Cancel a job; end it here where no live worker will see to that.")
    for command, insisting in ((release, "although its worker seems alive"), (abort, "although workers are alive")):
        command.add_argument("job", help="id of the job")
        command.add_argument("--force", action="store_true", help=f"do it {insisting}")
    bundle = verb(
        category("support", "for those who help"), "bundle", _support_bundle,
        "Write settings, state, failures and logs into one archive, without secrets.",
    )  # fmt: skip
    bundle.add_argument("--output", required=True, metavar="FILE.tar.gz", help="the archive to write")
    bundle.add_argument("--log", action="append", default=[], metavar="FILE", help="a log file to take the end of")
    verb(category("version", "this release"), "list", _version, "Show the version.")
    return parser


def main() -> None:
    """karbor-manage."""
    given = _parser().parse_args()
    conf = daemon.read_settings([], files=given.config_file)
    try:
        application = wiring.build(conf, [])
        try:
            answer = given.function(application, given)
        finally:
            application.stop()  # what it changed is told of before it ends
    except errors.KarborError as fault:
        sys.exit(f"karbor-manage: {fault.operator_text()}")
    if given.json:
        print(json.dumps(answer, indent=1))  # noqa: T201
    else:
        for line in _lines(answer):
            print(line)  # noqa: T201
    if isinstance(answer, dict) and not answer.get("sound", True):
        sys.exit(1)


def _lines(answer: Any) -> Iterator[str]:
    """One line for each thing; first the list of what is worth a word, where the answer has one, then the rest."""
    for row in answer if isinstance(answer, list) else [*answer.get("entries", ()), answer.get("counts", answer)]:
        yield "  ".join(f"{name}: {value}" for name, value in row.items())
