# SPDX-License-Identifier: Apache-2.0
"""Which settings does the service have? One module for each option group; list_opts names them all."""

from oslo_config import cfg

from karbor.conf import alarms, api, clients, leftovers, metrics, operationengine, protection, quota, service

MODULES = (alarms, api, clients, leftovers, metrics, operationengine, protection, quota, service)


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register every option of ours; may be called again."""
    for module in MODULES:
        module.register_opts(conf)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """For oslo-config-generator."""
    return [entry for module in MODULES for entry in module.list_opts()]
