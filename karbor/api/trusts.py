# SPDX-License-Identifier: Apache-2.0
"""How does a request leave behind the permission to act for its user later?

By a trust, made with the token of the request. It is written down first; then Keystone is asked; what the trust is for
is kept in the same transaction as its id. Wherever that ends early, karbor-operationengine finds the trust by its name
and gives it back. What a request under one of our own trusts asks for is done under the same trust.
"""

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from karbor.api.call import Call
from karbor.clients.identity import Identity
from karbor.conf.leftovers import hold_of
from karbor.db.database import Transaction
from karbor.model import errors
from karbor.model.trust import Trust

LOG = logging.getLogger(__name__)


class Permission:
    """By which trust something is done later: none where ``trust_id`` is None."""

    def __init__(self, trust_id: str | None = None, made: Trust | None = None) -> None:
        self.trust_id = trust_id
        self.kept = made is None
        self._made = made

    def keep(self, rows: Transaction) -> None:
        """Call this in the transaction that makes what the trust is for; it may be called twice. Raises Conflict."""
        if self._made is not None and self.trust_id is not None:
            rows.trusts.keep(self._made.id, self.trust_id)
            self.kept = True


@contextmanager
def for_schedule(call: Call, scheduled_operation_id: str) -> Iterator[Permission]:
    """The permission that a schedule has of its own. None is needed where there is no Keystone.

    Raises Forbidden where Keystone does not allow it, Unavailable.
    """
    identity = call.services.identity
    if identity is None:
        yield Permission()
        return
    with _made(call, identity, scheduled_operation_id) as permission:
        yield permission


@contextmanager
def for_work(
    call: Call, *provider_ids: str, project_id: str | None = None, hand_on: bool = False
) -> Iterator[Permission]:
    """The permission for what the workers of these providers do for the caller: none where nothing of that is done in
    a cloud, or where it is about another project (``project_id``), for which the caller cannot give one.
    ``hand_on``: services of the cloud may be asked to act under it too.

    Raises Forbidden where Keystone does not allow it, Unavailable.
    """
    identity = call.services.identity
    foreign = project_id is not None and project_id != call.project_id
    if identity is None or foreign:
        yield Permission()
        return
    with call.services.database.read() as rows:
        needed = rows.providers.any_acts_in_cloud(provider_ids)
        ours = rows.trusts.find(call.context.trust_id) if call.context.trust_id else None
    if not needed:
        yield Permission()
    elif ours is not None:
        yield Permission(ours.trust_id)
    else:
        with _made(call, identity, None, hand_on=hand_on) as permission:
            yield permission


@contextmanager
def for_login(call: Call, token: str, project_id: str, user_id: str) -> Iterator[Permission]:
    """The permission of whoever logged in beside the request, for what the workers do in the project of that login.

    Raises Forbidden where Keystone does not allow it, Unavailable.
    """
    identity = call.services.identity
    assert identity is not None
    wanted = Trust(id=str(uuid.uuid4()), project_id=project_id, user_id=user_id)
    with _kept(call, identity, wanted, token, hand_on=True) as permission:
        yield permission


def release(call: Call, trust_id: str | None) -> None:
    """Give a trust back where nothing needs it any more. Where that fails, the engine tries again later."""
    identity = call.services.identity
    if identity is None or trust_id is None:
        return
    hold = hold_of(call.services.conf)
    held_since = call.services.clock.now() - timedelta(seconds=hold) if hold else None
    with call.services.database.read() as rows:
        unused = rows.trusts.is_unused(trust_id, held_since=held_since)
    if unused is not None:
        _give_back(call, identity, unused, trust_id)


@contextmanager
def _made(
    call: Call, identity: Identity, scheduled_operation_id: str | None, *, hand_on: bool = False
) -> Iterator[Permission]:
    if call.context.system_scope:
        raise errors.Forbidden("This needs a login in the project itself; yours is for the whole system.")
    wanted = Trust(
        id=str(uuid.uuid4()),
        project_id=call.project_id,
        user_id=str(call.context.user_id),
        scheduled_operation_id=scheduled_operation_id,
    )
    with _kept(call, identity, wanted, str(call.context.auth_token), hand_on=hand_on) as permission:
        yield permission


@contextmanager
def _kept(call: Call, identity: Identity, wanted: Trust, token: str, *, hand_on: bool) -> Iterator[Permission]:
    """As ``wanted``, by that token. What is not kept until the end is given back."""
    row = call.services.database.retrying(lambda rows: rows.trusts.begin(wanted))
    trust_id = None
    permission = Permission()
    try:
        trust_id = identity.create_trust(token, wanted.project_id, name=row.name, hand_on=hand_on)
        permission = Permission(trust_id, row)
        yield permission
    except errors.Unavailable:
        raise  # perhaps Keystone has it: the row stays, so that somebody looks
    except errors.KarborError:
        if trust_id is None:
            call.services.database.retrying(lambda rows: rows.trusts.forget(row.id))
        raise
    finally:
        if trust_id is not None and not permission.kept:
            _give_back(call, identity, row, trust_id)


def _give_back(call: Call, identity: Identity, row: Trust, trust_id: str) -> None:
    try:
        identity.delete_trust(trust_id)
    except errors.KarborError as fault:
        LOG.warning("trust not given back trust=%s project=%s %s", trust_id, row.project_id, fault.operator_text())
        return
    call.services.database.retrying(lambda rows: rows.trusts.forget(row.id))
    LOG.info("trust given back trust=%s project=%s request=%s", trust_id, row.project_id, call.context.request_id)
