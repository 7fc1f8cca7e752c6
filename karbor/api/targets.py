# SPDX-License-Identifier: Apache-2.0
"""Where does a restore go, and by which right is it done there?

Within our own cloud, in whatever project, by a trust of whoever logs in there: nothing secret is kept. In another cloud
nobody can make a trust for us, so the login itself is kept, sealed, until the restore ends.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from karbor.api import sealing, trusts
from karbor.api.call import Call, canonical
from karbor.api.trusts import Permission
from karbor.clients.elsewhere import CREDENTIAL, TOKEN, Entered, Login, normal
from karbor.clients.identity import Identity
from karbor.clients.sealedlogins import DRY_RUN, LoginSeal
from karbor.common import context
from karbor.conf.clients import GROUP
from karbor.db.database import Transaction
from karbor.model import errors


@dataclass(frozen=True)
class Passage:
    """``target`` is what the restore shows of it."""

    permission: Permission
    target: str | None = None
    login: Login | None = None
    seal: LoginSeal | None = None

    def keep(self, rows: Transaction, restore_id: str) -> None:
        """Keep the login for the worker, in the transaction that makes the restore; it may be called twice."""
        if self.login is not None and self.seal is not None:
            rows.restores.keep_login(restore_id, self.seal.seal(restore_id, self.login.to_dict()))


def is_elsewhere(call: Call) -> bool:
    """Whether the request names another place, or another login, than its own. Raises InvalidInput where it does and
    this provider cannot: neither is ever ignored. Null leaves mean "not given"."""
    target, auth = call.body.get("restore_target"), _given(call)
    for name, given in (("restore_target", target is not None), ("restore_auth", bool(auth))):
        if given and not _acts_in_cloud(call):
            raise errors.InvalidInput(f"{name} is not supported for this provider.")
    return target is not None or bool(auth)


@contextmanager
def for_restore(call: Call) -> Iterator[Passage]:
    """The passage of a restore that is asked for.

    Raises InvalidInput where the login is refused or the place is not allowed, Forbidden, Unavailable.
    """
    provider_id = canonical(call.body["provider_id"])
    entered = _entered(call) if is_elsewhere(call) else None
    target = call.body.get("restore_target")
    if entered is None:
        with trusts.for_work(call, provider_id, hand_on=True) as permission:
            yield Passage(permission, target)
    elif _is_ours(call, entered.login):
        with trusts.for_login(call, entered.token, entered.project_id, entered.user_id) as permission:
            yield Passage(permission, target)
    else:
        yield Passage(Permission(), target, entered.login, _seal(call))


@contextmanager
def for_dry_run(call: Call) -> Iterator[Mapping[str, Any] | None]:
    """What the workers need to look at the target: None where that is the project of the request."""
    entered = _entered(call) if is_elsewhere(call) else None
    if entered is None:
        yield None
    elif _is_ours(call, entered.login):
        with context.with_token(entered.token):
            yield {"project_id": entered.project_id, "sealed": None}
    else:
        yield {"project_id": entered.project_id, "sealed": _seal(call).seal(DRY_RUN, entered.login.to_dict())}


def _given(call: Call) -> Mapping[str, Any]:
    """What of a login was given; a type alone says nothing."""
    return {
        name: value
        for name, value in (call.body.get("restore_auth") or {}).items()
        if value is not None and name != "type"
    }


def _acts_in_cloud(call: Call) -> bool:
    if call.services.identity is None:
        return False
    with call.services.database.read() as rows:
        return rows.providers.any_acts_in_cloud([canonical(call.body["provider_id"])])


def _entered(call: Call) -> Entered | None:
    """The login of the request at its target; None where it says nothing but the address of our own cloud."""
    identity, elsewhere = call.services.identity, call.services.elsewhere
    assert identity is not None and elsewhere is not None
    target, auth = call.body.get("restore_target"), call.body.get("restore_auth") or {}
    ours = target is None or normal(target) in _own(call, identity)
    url = normal(identity.url()) if ours else elsewhere.require_allowed(str(target))
    if not _given(call):
        if not ours:
            raise errors.InvalidInput("restore_target names another cloud: restore_auth must say how to log in there.")
        return None
    login = Login.parse(url, auth)
    if _is_ours(call, login) and login.region not in ("", call.services.conf[GROUP].region_name):
        raise errors.InvalidInput("restore_auth: region_name chooses in other clouds, and not in this one.")
    if login.kind == TOKEN and not ours:
        raise errors.InvalidInput("restore_auth: a token of this cloud is of no use in another one.")
    if not _is_ours(call, login):
        _seal(call)  # so that a login that could not be kept is not tried
    return elsewhere.enter(login, token=str(call.context.auth_token))


def _own(call: Call, identity: Identity) -> set[str]:
    """The addresses that our own Keystone has, as far as the settings tell."""
    told = call.services.conf.keystone_authtoken
    known = [identity.url(), told.www_authenticate_uri, told.get("auth_url", None)]
    return {normal(one) for one in known if one}


def _is_ours(call: Call, login: Login) -> bool:
    """Whether whoever logs in so can make a trust for us. By an application credential nobody may."""
    identity = call.services.identity
    return identity is not None and login.kind != CREDENTIAL and login.url == normal(identity.url())


def _seal(call: Call) -> LoginSeal:
    return sealing.seal_for(call, "This login")
