# SPDX-License-Identifier: Apache-2.0
"""How is somebody logged in at a Keystone that a user names, with what the user gave?

Only at addresses that the operator allows: whoever may choose an address freely could look into the operator's own
network with our eyes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self
from urllib.parse import urlsplit

from keystoneauth1.identity import v3
from keystoneauth1.plugin import BaseAuthPlugin
from keystoneauth1.session import Session
from oslo_config import cfg

from karbor.clients.faults import told
from karbor.clients.logins import Logins
from karbor.common.retrying import Passing
from karbor.conf.clients import GROUP
from karbor.model import errors

PASSWORD, CREDENTIAL, TOKEN = "password", "application_credential", "token"  # noqa: S105 - ways to log in
_KEPT = (
    "username", "user_id", "user_domain_name", "user_domain_id", "password", "application_credential_id",
    "application_credential_name", "application_credential_secret", "project_name", "project_id",
    "project_domain_name", "project_domain_id", "region_name",
)  # fmt: skip


@dataclass(frozen=True)
class Login:
    """A way to log in at the Keystone at ``url``. What it holds is secret; ``repr`` shows nothing of that."""

    url: str
    kind: str
    given: Mapping[str, str] = field(repr=False, default_factory=dict)

    @classmethod
    def parse(cls, url: str, auth: Mapping[str, Any]) -> Self:
        """From a request's ``restore_auth``. Raises InvalidInput where something is missing or does not fit."""
        given = {name: str(auth[name]) for name in _KEPT if auth.get(name)}
        kind = auth.get("type") or _kind_of(given)
        if kind == PASSWORD:
            _need(given, "password", ("username", "user_id"))
        elif kind == CREDENTIAL:
            _need(given, "application_credential_secret", ("application_credential_id", "application_credential_name"))
            if "application_credential_id" not in given:
                _need(given, "application_credential_name", ("username", "user_id"))
        elif kind == TOKEN:
            _need(given, "", ("project_name", "project_id"))
        else:
            raise errors.InvalidInput(f"restore_auth: type must be {PASSWORD}, {CREDENTIAL} or {TOKEN}.")
        return cls(url, kind, given)

    def to_dict(self) -> dict[str, Any]:
        """The form that is sealed."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The login that ``to_dict`` made that of."""
        return cls(data["url"], data["kind"], data["given"])

    def within(self, project_id: str) -> Self:
        """The same for a project by its id, whatever it said before."""
        rest = {name: value for name, value in self.given.items() if not name.startswith("project_")}
        return replace(self, given={**rest, "project_id": project_id})

    @property
    def region(self) -> str:
        """The region that the user wants; empty for any."""
        return self.given.get("region_name", "")

    def plugin(self, token: str = "") -> BaseAuthPlugin:  # noqa: S107
        """How keystoneauth logs in so. ``token`` is that of the request, for a login as whoever asks."""
        given = {name: value for name, value in self.given.items() if name != "region_name"}
        if self.kind == CREDENTIAL:
            user = {name: value for name, value in given.items() if name.startswith(("user", "application_"))}
            return v3.ApplicationCredential(self.url, **_with_domain(user, "user"))
        project = _with_domain({name: value for name, value in given.items() if name.startswith("project_")}, "project")
        if self.kind == TOKEN:
            return v3.Token(self.url, token, **project)
        user = {name: value for name, value in given.items() if name.startswith(("user", "password"))}
        return v3.Password(self.url, **_with_domain(user, "user"), **project)


@dataclass(frozen=True)
class Entered:
    """A login that was tried and is good: where it leads to, and a token of it."""

    login: Login
    project_id: str
    user_id: str
    token: str = field(repr=False)


class Elsewhere:
    """Logs in. ``allowed``: addresses of Keystones of other clouds."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._logins = Logins(conf)
        self._allowed: Sequence[str] = [normal(one) for one in conf[GROUP].restore_targets]

    def require_allowed(self, target: str) -> str:
        """The address as we use it. Raises InvalidInput where the operator does not allow it."""
        url = normal(target)
        if url not in self._allowed:
            raise errors.InvalidInput(
                "The operator does not allow to restore to this restore_target.",
                next_action="let the operator add its address to restore_targets in [clients]",
            )
        return url

    def session(self, login: Login, *, token: str = "") -> Session:  # noqa: S107
        """A session that logs in so when it is first used, and anew before its token runs out."""
        return self._logins.session(login.plugin(token))

    def enter(self, login: Login, *, token: str = "") -> Entered:  # noqa: S107
        """Log in now. Where no project is named and the user has one there, it is that.

        Raises InvalidInput where the login is refused or leads to no project, Unavailable where nobody answers there.
        """
        session = self.session(login, token=token)
        try:
            with told("Keystone at the target of the restore could not be asked"):
                access = session.auth.get_access(session)  # type: ignore[union-attr]
                if not access.project_id:
                    login = login.within(self._only_project(session, login.url))
                    session = self.session(login)
                    access = session.auth.get_access(session)  # type: ignore[union-attr]
        except Passing as passing:
            raise passing.fault from passing
        except (errors.Forbidden, errors.NotFound, errors.NotSupported, errors.Conflict) as refusal:
            raise errors.InvalidInput(
                "The login of restore_auth was refused at the target of the restore.", detail=refusal.operator_text()
            ) from refusal
        named = login if login.kind == CREDENTIAL else login.within(access.project_id)
        return Entered(named, access.project_id, access.user_id, access.auth_token)

    @staticmethod
    def _only_project(session: Session, url: str) -> str:
        found = session.get(f"{url}/auth/projects", authenticated=True).json()["projects"]
        if len(found) != 1:
            raise errors.InvalidInput(
                f"restore_auth names no project, and its user has {len(found)}.",
                next_action="name one in project_id, or in project_name and project_domain_name",
            )
        return str(found[0]["id"])


def normal(url: str) -> str:
    """One address for all ways to write that of a Keystone: with its version, without a slash at the end.

    Raises InvalidInput where it is none.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or parts.scheme not in ("http", "https") or parts.username or parts.query or parts.fragment:
        raise errors.InvalidInput("restore_target must be the address of a Keystone, such as https://host:5000/v3.")
    shown = f"[{host}]" if ":" in host else host
    place = f":{port}" if port and port != {"http": 80, "https": 443}[parts.scheme] else ""
    path = parts.path.rstrip("/").removesuffix("/v3").removesuffix("/v2.0")
    return f"{parts.scheme}://{shown}{place}{path}/v3"


def _kind_of(given: Mapping[str, str]) -> str:
    if any(name.startswith("application_credential") for name in given):
        return CREDENTIAL
    return PASSWORD if "password" in given or "username" in given or "user_id" in given else TOKEN


def _need(given: Mapping[str, str], one: str, other: Sequence[str]) -> None:
    if (one and one not in given) or not any(name in given for name in other):
        wanted = f"{one} and {' or '.join(other)}" if one else " or ".join(other)
        raise errors.InvalidInput(f"restore_auth: {wanted} must be given.")


def _with_domain(given: Mapping[str, str], of: str) -> dict[str, Any]:
    """With the domain called default where a name needs one and none is given."""
    named = {"user": "username", "project": "project_name"}[of] in given
    domain = any(f"{of}_domain_{by}" in given for by in ("id", "name"))
    return {**given, **({f"{of}_domain_id": "default"} if named and not domain else {})}
