# SPDX-License-Identifier: Apache-2.0
"""How are the providers of the settings opened, also in a process that is nothing but a reader?"""

from pathlib import Path

from oslo_config import cfg

from karbor.app.keysettings import key_loader, shared_domains
from karbor.common.clock import Clock
from karbor.protection.providers import ProviderRegistry
from karbor.sdk.environment import Environment
from karbor.vault.leases import Terms


def open_providers(conf: cfg.ConfigOpts, clock: Clock, environment: Environment) -> ProviderRegistry:
    """Load the provider files. Raises ConfigurationError where their directory is missing."""
    return ProviderRegistry(
        Path(conf.provider_config_dir),
        environment=environment,
        load_key=key_loader(conf),
        cache_dir=Path(conf.vault.cache_dir),
        clock=clock,
        compression_level=conf.vault.compression_level,
        threads=conf.vault.threads,
        terms=Terms(conf.vault.write_lease, conf.vault.write_lease_margin, conf.vault.max_clock_skew),
        shared=shared_domains(conf),
    )
