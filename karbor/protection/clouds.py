# SPDX-License-Identifier: Apache-2.0
"""Whose cloud does this worker look into: that of the request it answers, or of the tenant whose job it does?"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from oslo_context import context

from karbor.clients.openstack import Cloud, CloudSettings
from karbor.model import errors

if TYPE_CHECKING:
    from karbor.clients.identity import Identity

KEPT = 64  # clouds of trusts whose connections are kept; the one that was not used for longest is let go


#: What was sealed for a purpose, and is no login.
Secrets = Callable[[str, str], Mapping[str, Any]]
#: The session of a login that was sealed for a purpose, and what of CloudSettings is different there.
Logins = Callable[[str, str], tuple[Any, Mapping[str, Any]]]


class Clouds:
    """Opens clouds. Thread-safe. What the services say of their versions is asked for once for all of them."""

    def __init__(
        self,
        identity: "Identity",
        settings: CloudSettings,
        logins: Logins | None = None,
        secrets: Secrets | None = None,
    ) -> None:
        self._identity = identity
        self._logins, self._secrets = logins or _nobody, secrets or _no_key
        self._settings = settings
        self._discovered: dict[str, Any] = {}
        self._lock = threading.Lock()  # guards _trusts
        self._trusts: OrderedDict[str, Cloud] = OrderedDict()

    def of_request(self, project_id: str) -> Callable[[], Cloud]:
        """Opens the cloud as whoever asks just now sees it, with the token of the request; asks Keystone at most once.

        The token is in memory only, until the request is answered. What is returned raises Unauthorized where there is
        none or it is no good, and Forbidden where it is for another project.
        """
        token = getattr(context.get_current(), "auth_token", None)
        opened: list[Cloud] = []

        def open_once() -> Cloud:
            if not token:
                raise errors.Unauthorized("The cloud can only be asked with a token.")
            if not opened:
                opened.append(self._cloud(self._identity.session_for_token(token, project_id)))
            return opened[0]

        return open_once

    def of_trust(self, trust_id: str) -> Cloud:
        """The cloud of the tenant who made the trust; logs in when it is first asked for something."""
        with self._lock:
            found = self._trusts.get(trust_id)
            if found is None:
                found = self._trusts[trust_id] = self._cloud(self._identity.session_for_trust(trust_id))
                while len(self._trusts) > KEPT:
                    self._trusts.popitem(last=False)
            self._trusts.move_to_end(trust_id)
            return found

    def of_login(self, purpose: str, sealed: str) -> Callable[[], Cloud]:
        """Opens the cloud that somebody named with a login, which was sealed for this ``purpose``: the id of a restore.

        What is returned raises KeyUnavailable where it cannot be opened, NotSupported where nobody can here.
        """
        opened: list[Cloud] = []

        def open_once() -> Cloud:
            if not opened:
                session, other = self._logins(purpose, sealed)
                # Another cloud has versions of its services of its own.
                opened.append(Cloud(session, replace(self._settings, **other)))
            return opened[0]

        return open_once

    def opened(self, purpose: str, sealed: str) -> Mapping[str, Any]:
        """What somebody gave for work in a cloud, sealed for this ``purpose``. Raises KeyUnavailable where it cannot be
        opened, NotSupported where nobody can here."""
        return self._secrets(purpose, sealed)

    def _cloud(self, session: Any) -> Cloud:
        return Cloud(session, self._settings, discovery_cache=self._discovered)


_TOO = "let the operator set login_key_file in [clients] for karbor-protection, too"


def _nobody(_purpose: str, _sealed: str) -> tuple[Any, Mapping[str, Any]]:
    raise errors.NotSupported("This worker cannot log in at other clouds.", next_action=_TOO)


def _no_key(_purpose: str, _sealed: str) -> Mapping[str, Any]:
    raise errors.NotSupported("This worker cannot open what was sealed for this restore.", next_action=_TOO)
