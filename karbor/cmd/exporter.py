# SPDX-License-Identifier: Apache-2.0
"""How does the process of one export run? ``python -m karbor.cmd.exporter``, started by karbor.protection.exports.

It reads the settings of the daemons, opens the streams and serves them until it is told to end or its time is over,
whoever else lives. It knows neither the database nor the message broker, and so it is there at once.
"""

import argparse
import contextlib
import logging
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from oslo_config import cfg

from karbor import conf as settings
from karbor.app.vaults import open_providers
from karbor.common import memory, stopping
from karbor.common.clock import Clock
from karbor.model import errors
from karbor.model.checkpoint import RECORD
from karbor.protection import export
from karbor.protection.exportprocess import ExportProcess
from karbor.protection.keywatch import KeyWatch
from karbor.sdk.environment import Environment

LOG = logging.getLogger(__name__)
_MIB = 1 << 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve. Returns the exit code."""
    given = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    process = ExportProcess(given.directory)
    try:
        with process.own(Clock()), stopping.told_to_end() as wait:
            return _serve(process, given, wait)
    except errors.Conflict as fault:
        LOG.warning("not needed %s", fault.operator_text())
        return 1


def _serve(process: ExportProcess, given: argparse.Namespace, wait: Callable[[float], bool]) -> int:
    clock, conf = Clock(), _settings(given)
    memory.give_back_early()
    try:
        with contextlib.closing(open_providers(conf, clock, _environment(conf))) as providers:
            domain = providers.get(given.provider).vault.holder(given.project, RECORD, given.checkpoint)
            record = export.open_record(domain, given.checkpoint)
            process.socket.unlink(missing_ok=True)  # we hold the lock: whoever listened there is gone
            wanted = {"resource": given.resource, "stream": given.stream, "cache": conf.export.cache * _MIB}
            with export.serve(domain, record, process.socket, **wanted) as served:
                process.tell({"streams": [entry._asdict() for entry in served]})
                LOG.info("serving checkpoint=%s streams=%s until=%s", given.checkpoint, len(served), given.until)
                with KeyWatch(providers, interval=conf.vault.key_check_interval):
                    told = wait(max(0.0, given.until - clock.now().timestamp()))
                LOG.info("ended %s", "as told" if told else "after its time")
    except errors.KarborError as fault:
        LOG.error("cannot serve checkpoint=%s %s", given.checkpoint, fault.operator_text())
        process.tell({"error": fault.message, "again": not fault.permanent})
        return 1
    return 0


def _settings(given: argparse.Namespace) -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    settings.register_opts(conf)
    conf([], project="karbor", default_config_files=given.config_file or None, default_config_dirs=given.config_dir)
    return conf


def _environment(conf: cfg.ConfigOpts) -> Environment:
    """Nothing but banks is used here, so no hypervisor is opened."""
    return Environment(host=conf.host, state_dir=conf.state_path, default_project=conf.default_project)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {__spec__.name}", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--directory", type=Path, required=True, help="where the socket and all else of it lies")
    parser.add_argument("--config-file", action="append", default=[], help="settings to read (as the daemons do)")
    parser.add_argument("--config-dir", action="append", default=[], help="directories of settings to read")
    parser.add_argument("--provider", required=True, help="id of the provider")
    parser.add_argument("--project", required=True, help="id of the project that owns the checkpoint")
    parser.add_argument("--checkpoint", required=True, help="id of the checkpoint")
    parser.add_argument("--resource", help="only this resource")
    parser.add_argument("--stream", help="only the streams of this name")
    parser.add_argument("--until", type=_moment, required=True, help="when it ends: seconds since 1970")
    return parser


def _moment(text: str) -> float:
    return datetime.fromtimestamp(float(text), UTC).timestamp()


if __name__ == "__main__":
    sys.exit(main())
