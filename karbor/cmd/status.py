# SPDX-License-Identifier: Apache-2.0
"""May this release be started over what an earlier one left? (``karbor-status upgrade check``)"""

from karbor.common import threaded  # noqa: F401  isort: skip - must come before oslo_messaging

import sys
from pathlib import Path

from oslo_config import cfg
from oslo_upgradecheck import upgradecheck
from sqlalchemy.exc import SQLAlchemyError

from karbor import conf as settings
from karbor.app.keysettings import key_loader
from karbor.common.clock import Clock
from karbor.db.database import Database
from karbor.model import errors

Code = upgradecheck.Code


class Checks(upgradecheck.UpgradeCommands):  # type: ignore[misc]
    """Each check answers with what to do next."""

    def _database(self) -> upgradecheck.Result:
        settings.register_opts(cfg.CONF)
        try:
            if Database(cfg.CONF.database.connection, clock=Clock()).is_current():
                return upgradecheck.Result(Code.SUCCESS)
        except SQLAlchemyError as fault:
            return upgradecheck.Result(Code.FAILURE, f"The database cannot be reached: {fault}")
        return upgradecheck.Result(Code.WARNING, "Run karbor-manage db sync before the daemons are started.")

    def _master_key(self) -> upgradecheck.Result:
        try:
            key_loader(cfg.CONF)()
        except errors.KarborError as fault:
            return upgradecheck.Result(Code.FAILURE, fault.operator_text())
        return upgradecheck.Result(Code.SUCCESS)

    def _providers(self) -> upgradecheck.Result:
        directory = Path(cfg.CONF.provider_config_dir)
        if not list(directory.glob("*.conf")):
            return upgradecheck.Result(Code.WARNING, f"There is no provider file in {directory}.")
        return upgradecheck.Result(Code.SUCCESS)

    _upgrade_checks = (
        ("Database schema", _database),
        ("Master key", _master_key),
        ("Provider files", _providers),
    )


def main() -> None:
    """karbor-status."""
    sys.exit(upgradecheck.main(cfg.CONF, project="karbor", upgrade_command=Checks()))
