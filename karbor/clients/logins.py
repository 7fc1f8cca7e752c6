# SPDX-License-Identifier: Apache-2.0
"""How does the service log in at Keystone, as itself and by the trust of a tenant?

With the login of ``[keystone_authtoken]``, which karbor-api has anyway, or with one of ``[clients]``.
"""

from typing import Any

from keystoneauth1 import exceptions as ks
from keystoneauth1 import loading
from keystoneauth1.plugin import BaseAuthPlugin
from keystoneauth1.session import Session
from oslo_config import cfg

from karbor.conf.clients import GROUP
from karbor.model import errors

MIDDLEWARE = "keystone_authtoken"
#: Keystone lets it have no other scope than its own, whatever options it takes.
_CREDENTIAL = "v3applicationcredential"
#: What a login for another scope must not take over from the login of the service.
_SCOPES = (
    "project_id",
    "project_name",
    "project_domain_id",
    "project_domain_name",
    "tenant_id",
    "tenant_name",
    "domain_id",
    "domain_name",
    "system_scope",
    "trust_id",
)


class Logins:
    """Makes logins and sessions from the settings."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        own = conf[GROUP]
        loading.register_auth_conf_options(conf, GROUP)
        loading.register_session_conf_options(conf, GROUP)
        self._section = own.auth_section or (GROUP if own.auth_type else MIDDLEWARE)
        loading.register_auth_conf_options(conf, self._section)

    def service(self) -> BaseAuthPlugin:
        """Ourselves. Raises ConfigurationError where the settings do not say how."""
        return self._load({})

    def trust(self, trust_id: str) -> BaseAuthPlugin:
        """Ourselves, for the tenant that made the trust."""
        return self._load(dict.fromkeys(_SCOPES) | {"trust_id": trust_id})

    def session(self, auth: BaseAuthPlugin) -> Session:
        """With the settings of TLS of ``[clients]``, or of the middleware's where there are none."""
        cert, key = self._of("certfile"), self._of("keyfile")
        return Session(
            auth=auth,
            verify=False if self._of("insecure") else (self._of("cafile") or True),
            cert=(cert, key) if cert and key else cert,
            timeout=self._conf[GROUP].timeout or self._conf[GROUP].request_timeout,
            user_agent="karbor",
        )

    def _of(self, name: str) -> Any:
        own = self._conf[GROUP][name]
        try:
            return own or self._conf[MIDDLEWARE][name]
        except cfg.NoSuchOptError:  # no karbor-api here: the middleware's own options are not registered
            return own

    def _load(self, scope: dict[str, str | None]) -> BaseAuthPlugin:
        try:
            kind = self._conf[self._section].auth_type
            known = {opt.dest for opt in loading.get_plugin_options(kind)} if kind else set()
            given = {name: value for name, value in scope.items() if name in known}
            found = loading.load_auth_from_conf_options(self._conf, self._section, **given)
        except ks.ClientException as fault:
            raise errors.ConfigurationError(f"[{self._section}] cannot be used.", detail=str(fault)) from fault
        if found is None:
            raise errors.ConfigurationError(
                "The service has no login at Keystone.",
                next_action=f"set auth_type, auth_url, username, password and project_name in [{MIDDLEWARE}]",
            )
        if scope and (kind == _CREDENTIAL or "trust_id" not in known):
            raise errors.ConfigurationError(
                f"With auth_type = {kind} nobody can act for tenants: that login knows no trusts.",
                next_action=f"set auth_type = password in [{GROUP}] or [{self._section}]",
            )
        return found
