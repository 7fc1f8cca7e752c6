# SPDX-License-Identifier: Apache-2.0
"""As whom are the services of a cloud asked: with the token of a request, for a tenant by its trust, or as ourselves?

A trust is what remains of a request when its token is gone: the user (trustor) lets our own user (trustee) act with
some of the user's roles in one project. Nothing secret is kept of it: its id is of no use without the login of the
service. Keystone ends it by itself where the user loses a role or is disabled, and it works again when that is undone.
"""

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from keystoneauth1 import exceptions as ks
from keystoneauth1.access import AccessInfoV3
from keystoneauth1.identity.base import BaseIdentityPlugin
from keystoneauth1.plugin import AUTH_INTERFACE
from keystoneauth1.session import Session
from oslo_config import cfg

from karbor.clients.faults import told
from karbor.clients.logins import Logins
from karbor.common.retrying import Policy, Retrying
from karbor.conf.clients import GROUP
from karbor.model import errors

Found = TypeVar("Found")
#: Sessions of trusts that are kept at the same time; the one that was not used for longest is forgotten.
KEPT = 256
_TRUSTS = "/OS-TRUST/trusts"
_ASKED = "Keystone could not be asked"


@dataclass(frozen=True)
class Trust:
    """A trust that Keystone has for us. ``name`` is what it was made with; "" where somebody else made it."""

    id: str
    project_id: str
    user_id: str
    name: str = ""


class Identity:
    """Logins at one Keystone. Used by many threads; sessions log in anew by themselves before a token runs out."""

    def __init__(self, conf: cfg.ConfigOpts, *, retrying: Retrying | None = None) -> None:
        """Raises ConfigurationError where the settings do not say how the service itself logs in."""
        own = conf[GROUP]
        self._logins = Logins(conf)
        #: Which endpoints clients use, as keystoneauth's Adapter and the clients of the services take it.
        self.place: Mapping[str, str | None] = {"region_name": own.region_name or None, "interface": own.interface}
        self.trust_roles: Sequence[str] = tuple(own.trust_roles)
        self.timeout = float(own.request_timeout)
        policy = Policy(attempts=own.attempts, backoff=own.retry_delay, deadline=self.timeout * own.attempts)
        self._retrying = retrying or Retrying(policy)
        self._lock = threading.Lock()  # guards the two below
        self._trusts: OrderedDict[str, Session] = OrderedDict()
        self._url = ""
        self._service = self._logins.session(self._logins.service())

    def service_session(self) -> Session:
        """Ourselves, in the project of the service."""
        return self._service

    def session_for_token(self, token: str, project_id: str | None = None) -> Session:
        """Whoever asks just now, until the token runs out.

        Raises Unauthorized where it is no good, Forbidden where it is for another project.
        """
        return self._shown(token, project_id)[0]

    def session_for_trust(self, trust_id: str) -> Session:
        """The tenant that made the trust, in its project. Logs in when it is first used: see ``login``."""
        with self._lock:
            session = self._trusts.get(trust_id)
            if session is None:
                session = self._trusts[trust_id] = self._logins.session(self._logins.trust(trust_id))
                while len(self._trusts) > KEPT:
                    self._trusts.popitem(last=False)
            self._trusts.move_to_end(trust_id)
            return session

    def forget(self, trust_id: str) -> None:
        """What is remembered of the logins under this trust is no good any more."""
        with self._lock:
            self._trusts.pop(trust_id, None)

    def login(self, trust_id: str, *, fresh: bool = False) -> str:
        """A token of the tenant; a ``fresh`` one shows whether the trust holds just now.

        Raises Forbidden with the reason where the trust gives none (nothing helps but the tenant or its administrator),
        Unavailable where Keystone cannot be asked, or refuses us ourselves.
        """
        if fresh:
            self.forget(trust_id)
        session = self.session_for_trust(trust_id)
        try:
            token = self.ask(session.get_token, _ASKED)
        except errors.Forbidden as fault:
            self.forget(trust_id)
            raise self._why_refused(trust_id, fault) from fault
        return str(token)

    def create_trust(
        self,
        token: str,
        project_id: str,
        roles: Iterable[str] | None = None,
        *,
        name: str = "",
        hand_on: bool = False,
    ) -> str:
        """Let the user of this token hand on to us those of ``roles`` (the setting, by default) that the user has;
        returns the id of the trust. By ``name`` it is found again if nobody hears of that id: see ``trusts``. There is
        never a second one of that name. ``hand_on``: services that work for us may act under it too, as Heat does for
        a stack: it makes a trust of this one, which ends with it.

        Raises Forbidden with what to do where Keystone does not allow it, Unavailable.
        """
        session, access = self._shown(token, project_id)
        wanted = [role for role in (roles or self.trust_roles) if role in (access.role_names or ())]
        if not wanted:
            text = ", ".join(roles or self.trust_roles)
            raise errors.Forbidden(f"To act for you later Karbor needs one of your roles in this project: {text}.")
        trust = {
            "trustor_user_id": access.user_id,
            "trustee_user_id": self.user_id(),
            "project_id": project_id,
            "impersonation": True,
            "allow_redelegation": hand_on,
            **({"redelegation_count": 1} if hand_on else {}),
            "roles": [{"name": role} for role in wanted],
            **({"name": name} if name else {}),
        }

        tries = itertools.count()

        def make() -> str:
            if next(tries) and (known := [one.id for one in self.trusts() if one.name == name]):
                return known[0]
            with told("Keystone allows no trust", again=bool(name)):
                answer = session.post(f"{self.url()}{_TRUSTS}", json={"trust": trust})
            return str(answer.json()["trust"]["id"])

        try:
            return self._retrying.call(make)
        except errors.Forbidden as fault:
            raise _may_not_trust(access, fault) from fault

    def trusts(self) -> Sequence[Trust]:
        """Every trust that lets us act."""
        path = f"{self.url()}{_TRUSTS}?trustee_user_id={self.user_id()}"
        found = self.ask(lambda: self._service.get(path), _ASKED).json()["trusts"]
        return [
            Trust(one["id"], one["project_id"] or "", one["trustor_user_id"], str(one.get("name") or ""))
            for one in found
        ]

    def delete_trust(self, trust_id: str) -> None:
        """Give the trust back. May be called twice. Raises Forbidden where that is not allowed now: Keystone lets only
        the trustor do it, in whose name we act, or an administrator."""
        address = f"{self.url()}{_TRUSTS}/{trust_id}"
        if self._find(trust_id) is None:
            return
        session = self.session_for_trust(trust_id)
        try:
            self.ask(lambda: session.delete(address), "The trust could not be given back")
        except errors.NotFound:
            pass
        except errors.Forbidden:
            self.ask(lambda: self._service.delete(address), "The trust could not be given back")
        finally:
            self.forget(trust_id)

    def user_id(self) -> str:
        """The id of our own user."""
        return str(self.ask(lambda: self._service.get_user_id(), _ASKED))

    def url(self) -> str:
        """The address of Keystone with its version."""
        if not self._url:

            def find() -> str | None:
                # AUTH_INTERFACE: the address that the login itself goes to, whatever the catalog says.
                return self._service.get_endpoint(
                    service_type="identity", interface=AUTH_INTERFACE, min_version="3", max_version="3.latest"
                )

            self._url = str(self.ask(find, _ASKED)).rstrip("/")
        return self._url

    def ask(self, work: Callable[[], Found], what: str) -> Found:
        """``work``, again where its fault may pass. ``what`` tells users what could not be done. Raises what the
        fault means: Forbidden, NotFound, Unavailable and so on."""

        def tried() -> Found:
            with told(what):
                return work()

        return self._retrying.call(tried)

    def _shown(self, token: str, project_id: str | None) -> tuple[Session, AccessInfoV3]:
        """The session of a token, and what Keystone says of it."""
        auth = _GivenToken(token, self)
        session = self._logins.session(auth)
        try:
            found = self.ask(lambda: auth.get_access(session), _ASKED)
        except errors.NotFound:  # which is what Keystone says of a token that is no good
            raise errors.Unauthorized("The token is wrong or has expired.") from None
        if project_id is not None and found.project_id != project_id:
            raise errors.Forbidden("The token is for another project.")
        return session, found  # type: ignore[return-value]

    def _find(self, trust_id: str) -> Mapping[str, Any] | None:
        """The trust, as Keystone shows it to us; None where there is none."""
        try:
            answer = self.ask(lambda: self._service.get(f"{self.url()}{_TRUSTS}/{trust_id}"), _ASKED)
        except errors.NotFound:
            return None
        found: Mapping[str, Any] = answer.json()["trust"]
        return found

    def _why_refused(self, trust_id: str, fault: errors.KarborError) -> errors.KarborError:
        """Keystone itself does not say why. What we can see as ourselves tells."""
        try:
            trust = self._find(trust_id)
        except errors.Forbidden as own:
            return errors.Unavailable(
                "Keystone refuses the service itself.", detail=own.detail, next_action="check its login and its roles"
            )
        if trust is None:
            return errors.Forbidden("The trust was deleted in Keystone.", detail=fault.detail)
        who = f"{self.url()}/users/{trust['trustor_user_id']}"
        try:
            user = self.ask(lambda: self._service.get(who), _ASKED).json()["user"]
        except errors.NotFound:
            return errors.Forbidden("The user who gave the permission is gone.", detail=fault.detail)
        except errors.Forbidden:  # only administrators may look at users
            user = None
        if user is not None and not user.get("enabled", True):
            return errors.Forbidden("The user who gave the permission is disabled.", detail=fault.detail)
        lost = "lost a role in the project" if user is not None else "lost a role in the project or is disabled"
        if isinstance(fault.__cause__, ks.Unauthorized) or "HTTP 401" in fault.detail:
            lost = "or the project is disabled"
        return errors.Forbidden(f"The user who gave the permission {lost}.", detail=fault.detail)


class _GivenToken(BaseIdentityPlugin):
    """A token that somebody showed us. It is used as it is, without another login; its catalog is Keystone's answer to
    whether it is good."""

    def __init__(self, token: str, identity: Identity) -> None:
        super().__init__(reauthenticate=False)
        self._token = token
        self._identity = identity

    def get_auth_ref(self, session: Session) -> AccessInfoV3:
        # We ask as ourselves: a token with access rules may not look at itself.
        address = f"{self._identity.url()}/auth/tokens"
        answer = self._identity.service_session().get(address, headers={"X-Subject-Token": self._token})
        return AccessInfoV3(body=answer.json(), auth_token=self._token)

    def invalidate(self) -> bool:
        return False  # there is no other one


def _may_not_trust(access: Any, fault: errors.KarborError) -> errors.KarborError:
    """What the user can do about it."""
    if access.application_credential_id:
        with_, what = "an application credential", "Log in with a password, or another way that is no such credential"
    elif access.trust_id:
        with_, what = "a trust", "Log in as the user who made it"
    else:
        return errors.Forbidden("Keystone does not allow you to let Karbor act for you later.", detail=fault.detail)
    return errors.Forbidden(
        f"Karbor cannot be allowed to act for you later by a login with {with_}. {what}, and ask again.",
        detail=fault.detail,
    )
