# SPDX-License-Identifier: Apache-2.0
"""How does a daemon start, tell that it serves, and end?"""

from karbor.common import threaded  # noqa: F401  isort: skip - must come before oslo_messaging

import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import NoReturn

from oslo_config import cfg
from oslo_log import log

from karbor import conf as settings
from karbor.app import roles, wiring
from karbor.common import memory, stopping
from karbor.model import errors

LOG = logging.getLogger(__name__)


def read_settings(arguments: Sequence[str], *, files: Sequence[str] | None = None) -> cfg.ConfigOpts:
    """Read the settings into the one global CONF, which some libraries insist on, and set logging up."""
    conf = cfg.CONF
    log.register_options(conf)
    settings.register_opts(conf)
    version = metadata.version("karbor")
    conf(list(arguments), project="karbor", version=version, default_config_files=list(files) if files else None)
    log.set_defaults(default_log_levels=[*log.get_default_log_levels(), "taskflow=WARN", "cheroot=WARN"])
    log.setup(conf, "karbor")
    return conf


def serve(
    conf: cfg.ConfigOpts,
    played: Sequence[type[wiring.Role]],
    *,
    announce: Callable[[wiring.Application], None] = lambda _application: None,
) -> int:
    """Start the roles and serve until SIGTERM or SIGINT. Returns the exit code."""
    memory.give_back_early()
    with memory.kept_small(), stopping.told_to_end() as wait:
        try:
            application = wiring.build(conf, played)
            application.shared.database.upgrade()
            application.start()
            memory.settle()
        except errors.KarborError as fault:
            print(f"karbor cannot start: {fault.operator_text()}", file=sys.stderr)  # noqa: T201
            LOG.error("cannot start %s", fault.operator_text())
            return 1
        announce(application)
        wait(None)
        LOG.info("stopping")
        application.stop()
    return 0


def run(
    conf: cfg.ConfigOpts,
    played: Sequence[type[wiring.Role]],
    *,
    announce: Callable[[wiring.Application], None] = lambda _application: None,
) -> NoReturn:
    """``serve``, and end this process, whatever happened. Steps that still run are not waited for: they lost their
    lease, and another worker goes on."""
    code = 1
    try:
        code = serve(conf, played, announce=announce)
    except BaseException:  # also where nothing can be logged any more
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def _main(played: Sequence[type[wiring.Role]]) -> None:
    run(read_settings(sys.argv[1:]), played)


def api() -> None:
    """karbor-api."""
    _main([roles.ApiRole])


def operationengine() -> None:
    """karbor-operationengine."""
    _main([roles.EngineRole])


def protection() -> None:
    """karbor-protection."""
    _main([roles.ProtectionRole])
