# SPDX-License-Identifier: Apache-2.0
"""Which settings are there, with those of the installed plug-ins? For oslo-config-generator."""

from karbor.common import threaded  # noqa: F401  isort: skip - must come before oslo_messaging

from keystoneauth1 import loading as loaded
from oslo_config import cfg

from karbor import conf as settings
from karbor.common import loading
from karbor.protection import providers


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """What may stand in karbor.conf: our sections, and one for each plug-in that runs in a worker."""
    logins = [*loaded.get_auth_common_conf_options(), *loaded.get_session_conf_options()]
    found = [*settings.list_opts(), ("clients", logins)]
    for namespace in ("karbor.hypervisors", "karbor.protectables"):
        for name, plugin in sorted(loading.plugin_classes(namespace).items()):
            if plugin.Settings.declared:
                found.append((name.replace("-", "_"), plugin.Settings.cfg_opts()))
    return found


def list_provider_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """What may stand in a file of providers.d: the provider, and a section for each bank and protection it names."""
    found: list[tuple[str, list[cfg.Opt]]] = [("provider", list(providers.PROVIDER_OPTS))]
    for name, plugin in sorted(loading.plugin_classes(providers.PLUGINS).items()):
        found += plugin.Settings.cfg_sections(providers.settings_section(name)).items()
    return found


def set_defaults() -> None:
    """Let options of libraries have the defaults that they have here."""
    settings.api.set_defaults()
