# SPDX-License-Identifier: Apache-2.0
"""Which providers does this worker have, and what is behind each: a bank, a vault, protection plug-ins?

Every ``*.conf`` file of the directory is one provider. A file that cannot be used is logged with its reason and left
out; the others work on.
"""

import logging
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from oslo_config import cfg

from karbor.common import faultpoints, loading
from karbor.common.clock import Clock
from karbor.heat.options import STACK_TYPE, StackOptions
from karbor.model import errors, lock
from karbor.model.mapping import MAPPING_TYPE
from karbor.model.provider import ProviderInfo
from karbor.protection.restorescope import SCOPE_TYPE, ScopeOptions
from karbor.protection.watchedbank import WatchedBank
from karbor.sdk.bank import Bank
from karbor.sdk.environment import Environment
from karbor.sdk.mapping import WorldMap
from karbor.sdk.protection import Protection
from karbor.vault.leases import Terms
from karbor.vault.sealring import Sealers
from karbor.vault.vault import Vault
from karbor.vault.wrapping import Wrapping

LOG = logging.getLogger(__name__)

PLUGINS = "karbor.protections"
PROVIDER_OPTS = [
    cfg.StrOpt("name", required=True, help="Name shown to people."),
    cfg.StrOpt("description", default="", help="What this provider is for."),
    cfg.StrOpt("id", required=True, help="A uuid, chosen by the operator."),
    cfg.MultiStrOpt("plugin", default=[], help="Protection plug-in; repeat the line for each."),
    cfg.StrOpt("bank", required=True, help="Bank plug-in."),
    cfg.BoolOpt("enabled", default=False, help="Whether this provider is offered."),
    cfg.StrOpt(
        "lock_mode",
        default="none",
        choices=["none", *lock.MODES],
        help="Lock that every new checkpoint gets: governance can be lifted by administrators, compliance by nobody.",
    ),
    cfg.IntOpt("lock_days", default=30, min=1, max=lock.MAX_DAYS, help="For how long, where lock_mode asks for one."),
]


class Provider:
    """One provider: its description, its bank, the vault in that bank and its protections by resource type."""

    def __init__(
        self,
        info: ProviderInfo,
        bank: Bank,
        protections: Mapping[str, Protection],
        names: Mapping[str, str],
        *,
        open_vault: Callable[[Bank], Vault],
        lock: tuple[str, int] | None = None,
    ) -> None:
        self.info = info
        self.lock = lock  # mode and days of the lock that every new checkpoint gets
        self.bank = bank
        self._protections = dict(protections)
        self._names = dict(names)
        self._open_vault = open_vault
        self._vault: Vault | None = None
        self._lock = threading.Lock()  # guards _vault

    @property
    def vault(self) -> Vault:
        """The vault in the bank, opened when it is first needed: a service whose key is missing still says so to its
        users. Raises KeyUnavailable, ConfigurationError."""
        with self._lock:
            if self._vault is None:
                self._vault = self._open_vault(self.bank)
            return self._vault

    def forget_destroyed(self) -> Sequence[str]:
        """Forget the keys that were destroyed in the bank since we loaded them; whose they were. Asks nothing where the
        vault was not needed yet. Raises BankUnavailable."""
        with self._lock:
            vault = self._vault
        return vault.forget_destroyed() if vault is not None else ()

    def close(self) -> None:
        """Let go of the vault."""
        with self._lock:
            if self._vault is not None:
                self._vault.close()
                self._vault = None

    def check(self) -> str:
        """The identity of the bank. Raises BankUnavailable, KeyUnavailable or ConfigurationError where this provider
        cannot work now."""
        identity = self.bank.identity()
        _ = self.vault
        return identity

    @property
    def id(self) -> str:
        return self.info.id

    def protection(self, type_: str) -> Protection:
        """The plug-in for a resource type. Raises InvalidInput where this provider has none."""
        try:
            return self._protections[type_]
        except KeyError:
            name = self.info.name
            raise errors.InvalidInput(f"The provider {name} cannot protect resources of type {type_}.") from None

    @property
    def protections(self) -> Sequence[Protection]:
        """Every plug-in, once."""
        return list({id(plugin): plugin for plugin in self._protections.values()}.values())

    def plugin_name(self, type_: str) -> str:
        return self._names[type_]


class ProviderRegistry:
    """Loads the provider files once. ``problems`` tells which files could not be used and why."""

    def __init__(
        self,
        directory: Path,
        *,
        environment: Environment,
        load_key: Callable[[], Wrapping | Sealers],
        cache_dir: Path,
        clock: Clock,
        compression_level: int = 1,
        threads: int = 2,
        terms: Terms = Terms(),  # noqa: B008 - frozen
        shared: Mapping[str, str] | None = None,
    ) -> None:
        self._environment = environment
        self._load_key = load_key
        self._vault_settings: dict[str, Any] = {
            "clock": clock,
            "compression_level": compression_level,
            "threads": threads,
            "terms": terms,
            "shared": shared,
        }
        self._cache_dir = cache_dir
        self.problems: dict[str, str] = {}
        self._providers: dict[str, Provider] = {}
        if not directory.is_dir():
            raise errors.ConfigurationError(
                f"The provider directory {directory} does not exist.", next_action="set provider_config_dir"
            )
        for path in sorted(directory.glob("*.conf")):
            try:
                self._load(path)
            except (errors.KarborError, cfg.Error, ValueError) as fault:
                text = fault.operator_text() if isinstance(fault, errors.KarborError) else str(fault)
                self.problems[path.name] = text
                LOG.error("provider not loaded file=%s cause=%s", path, text)

    def __iter__(self) -> Any:
        return iter(self._providers.values())

    @property
    def ids(self) -> Sequence[str]:
        return list(self._providers)

    def get(self, provider_id: str) -> Provider:
        """Raises NotFound where this worker has no such provider."""
        try:
            return self._providers[provider_id]
        except KeyError:
            raise errors.NotFound(f"The provider {provider_id} could not be found.") from None

    def close(self) -> None:
        for provider in self:
            provider.close()

    def _load(self, path: Path) -> None:
        conf = cfg.ConfigOpts()
        conf.register_opts(PROVIDER_OPTS, group="provider")
        conf(args=[], project="karbor-provider", default_config_files=[str(path)], default_config_dirs=[])
        if not conf.provider.enabled:
            return
        provider_id = str(uuid.UUID(conf.provider.id))
        if provider_id in self._providers:
            raise errors.ConfigurationError(f"Another provider file has the id {provider_id} already.")
        bank = self._plugin(conf, conf.provider.bank, Bank)
        if faultpoints.armed():
            bank = WatchedBank(bank)
        protections: dict[str, Protection] = {}
        names: dict[str, str] = {}
        for name in conf.provider.plugin:
            plugin = self._plugin(conf, name, Protection, self._environment)
            protections.update(dict.fromkeys(plugin.resource_types, plugin))
            names.update(dict.fromkeys(plugin.resource_types, name))

        def open_vault(bank: Bank) -> Vault:
            key = self._load_key()
            return Vault(bank, master_key=key, cache_dir=self._cache_dir / provider_id, **self._vault_settings)

        own = conf.provider
        wanted = None if own.lock_mode == "none" else (own.lock_mode, own.lock_days)
        info = ProviderInfo(
            id=provider_id,
            name=conf.provider.name,
            description=conf.provider.description,
            schemas=_schemas(protections),
            acts_in_cloud=any(plugin.acts_in_cloud for plugin in protections.values()),
        )
        self._providers[provider_id] = Provider(info, bank, protections, names, open_vault=open_vault, lock=wanted)

    def _plugin(self, conf: cfg.ConfigOpts, name: str, kind: type[Any], *more: Any) -> Any:
        found = loading.plugin_class(PLUGINS, name)
        if not issubclass(found, kind):
            raise errors.ConfigurationError(f"{name} is not a {kind.__name__.lower()} plug-in.")
        return found(loading.settings_from(conf, settings_section(name), found.Settings), *more)


def settings_section(plugin_name: str) -> str:
    """The section of a provider file with a plug-in's settings.

    ``karbor-fs-bank-plugin`` has ``[file_system_bank_plugin]`` as in the old service, any other plug-in its name
    without ``karbor-`` and with underscores.
    """
    known = {"karbor-fs-bank-plugin": "file_system_bank_plugin"}
    return known.get(plugin_name, plugin_name.removeprefix("karbor-").replace("-", "_"))


#: What a user may say about a restore into a cloud as a whole, in the place of a resource type.
_WHOLE = {STACK_TYPE: StackOptions.schema(), MAPPING_TYPE: WorldMap.schema()}


def _schemas(protections: Mapping[str, Protection]) -> dict[str, dict[str, Any]]:
    return {
        "options_schema": {type_: plugin.Protect.schema() for type_, plugin in protections.items()},
        "restore_schema": {
            **{type_: plugin.Restore.schema() for type_, plugin in protections.items()},
            SCOPE_TYPE: ScopeOptions.schema(),
            **(_WHOLE if any(p.through_heat for p in protections.values()) else {}),
        },
        "saved_info_schema": {type_: plugin.Saved.schema() for type_, plugin in protections.items()},
        "verify_schema": {type_: plugin.Verify.schema() for type_, plugin in protections.items()},
        "copy_schema": {type_: plugin.Copy.schema() for type_, plugin in protections.items() if plugin.can_copy()},
    }
