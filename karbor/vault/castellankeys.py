# SPDX-License-Identifier: Apache-2.0
"""How is a master key fetched from a key manager (Barbican, HashiCorp Vault) through castellan?

Only workers that are set to it import this module. The settings of castellan have a file of their own, because its
sections have names that we use too.
"""

from pathlib import Path
from typing import Any

from keystoneauth1.exceptions import ClientException
from oslo_config import cfg
from oslo_context.context import RequestContext
from requests import RequestException

from karbor.model import errors
from karbor.vault.keys import KEY_SIZE, MasterKey, secret_from_text

try:
    from castellan import key_manager
    from castellan.common import utils
    from castellan.common.exception import CastellanException, ManagedObjectNotFoundError
except ImportError as fault:
    raise errors.ConfigurationError(
        "The master key is to come from a key manager, and castellan is not installed.",
        detail=str(fault),
        next_action="pip install 'castellan>=5.8'",
    ) from fault


class CastellanKeys:
    """A key manager. Nothing it returns is kept here; the settings file is read once."""

    def __init__(self, settings: Path | None) -> None:
        """Raises ConfigurationError where the file is missing or wrong."""
        if settings is None or not settings.is_file():
            raise errors.ConfigurationError("The settings file of castellan does not exist.", detail=str(settings))
        conf = cfg.ConfigOpts()
        try:
            conf(args=[], project="castellan", default_config_files=[str(settings)], default_config_dirs=[])
            conf.register_opts(utils.credential_opts, group=utils.OPT_GROUP)
            self._manager: Any = key_manager.API(conf)
            # Barbican wants a login. Vault has its own among its settings, and only wants to be given anything at all.
            self._login: Any = utils.credential_factory(conf) if conf.key_manager.auth_type else RequestContext()
        except (cfg.Error, CastellanException, ImportError) as fault:
            raise errors.ConfigurationError("The settings of castellan cannot be used.", detail=str(fault)) from fault

    def load(self, secret_id: str) -> MasterKey:
        """The master key under that id: 32 bytes, or the same as hexadecimal digits or base64 text.

        Raises KeyUnavailable where the key manager does not give it, ConfigurationError where it is no key.
        """
        try:
            secret = self._manager.get(self._login, secret_id).get_encoded()
        except ManagedObjectNotFoundError as fault:
            raise errors.KeyUnavailable("The key manager has no such master key.", detail=secret_id) from fault
        except (CastellanException, ClientException, RequestException, OSError, ValueError) as fault:
            raise errors.KeyUnavailable(
                "The key manager does not give the master key.", detail=f"{secret_id}: {type(fault).__name__}: {fault}"
            ) from fault
        data = secret if isinstance(secret, bytes) else str(secret).encode()
        if len(data) != KEY_SIZE:
            data = secret_from_text(data.decode("ascii", "replace").strip()) or b""
        if len(data) != KEY_SIZE:
            raise errors.ConfigurationError("The key manager holds no master key under this id.", detail=secret_id)
        return MasterKey(data)
