# SPDX-License-Identifier: Apache-2.0
"""How is a plug-in found by its name? The only place that asks stevedore."""

import logging
from typing import Any

from oslo_config import cfg
from stevedore import driver, extension
from stevedore.exception import NoUniqueMatch

from karbor.model import errors

LOG = logging.getLogger(__name__)


def plugin_class(namespace: str, name: str) -> type[Any]:
    """The class behind an entry point.

    Raises ConfigurationError where there is none of that name, more than one, or where it cannot be loaded, whatever
    its package raises.
    """

    def broken(_manager: Any, _entry_point: Any, fault: BaseException) -> None:
        raise errors.ConfigurationError(
            f"The plug-in {name!r} in {namespace} cannot be loaded.",
            detail=f"{type(fault).__name__}: {fault}",
            next_action="mend or reinstall the package that holds it",
        ) from fault

    try:
        found: Any = driver.DriverManager(
            namespace, name, on_load_failure_callback=broken, warn_on_missing_entrypoint=False
        ).driver
    except NoUniqueMatch as fault:
        raise errors.ConfigurationError(
            f"There is no single plug-in {name!r} in {namespace}.",
            detail=str(fault),
            next_action="check the spelling, and that the package that holds it is installed once",
        ) from fault
    if not isinstance(found, type):
        raise errors.ConfigurationError(f"The plug-in {name!r} in {namespace} is not a class.")
    return found


def plugin_classes(namespace: str) -> dict[str, type[Any]]:
    """Every class of a namespace by name. One that cannot be loaded is logged and left out."""

    def missing(_manager: Any, entry_point: Any, fault: BaseException) -> None:
        LOG.error("plug-in not loaded namespace=%s name=%s cause=%s", namespace, entry_point.name, fault)

    manager = extension.ExtensionManager(namespace, invoke_on_load=False, on_load_failure_callback=missing)
    return {entry.name: entry.plugin for entry in manager}


def settings_from(conf: cfg.ConfigOpts, group: str, declared: type[Any]) -> Any:
    """The plug-in's declared settings as given in ``conf``, in section ``group`` unless they name another.

    Registers the options once.
    """
    if not declared.declared:
        return declared.parse({})  # no option, no section
    for section, opts in declared.cfg_sections(group).items():
        conf.register_opts(opts, group=section)
    return declared.parse({name: conf[entry.section or group][name] for name, entry in declared.declared.items()})
