# SPDX-License-Identifier: Apache-2.0
"""How does a client that lost an answer ask again without doing the work twice?

It sends the same request with the same ``Idempotency-Key``. The key is kept in the transaction that does the work, so
either both are there or neither; a request that failed leaves no key.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from karbor.api.call import Call
from karbor.db.database import Transaction
from karbor.model import errors
from karbor.model.operation import Job
from karbor.model.repeat import Repeat
from karbor.model.restore import without_secrets

LOG = logging.getLogger(__name__)
KEPT = timedelta(hours=24)
#: Never even hashed, as secret parameters are not: a password may be guessed from its hash.
_SECRET = ("restore_auth",)

Made = tuple[Mapping[str, Any], Sequence[Job]]


def known(call: Call) -> Mapping[str, Any] | None:
    """The first answer to this request; None where it is new. Raises Conflict where the key was another request's."""
    if "Idempotency-Key" not in call.headers:
        return None
    with call.services.database.read() as rows:
        return _answer(call, _kept(rows, call))


def once(call: Call, make: Callable[[Transaction], Made]) -> Made:
    """What ``make`` gives in a transaction of its own: the answer, and the jobs that the workers must be told of.

    Where somebody else has just done the same request under the same key, it is their answer, and no job.
    """
    if "Idempotency-Key" not in call.headers:
        return call.services.database.retrying(make)

    def work(rows: Transaction) -> Made:
        oldest = call.services.clock.now() - KEPT
        rows.repeats.forget(before=oldest)
        kept = rows.repeats.begin(_repeat(call), oldest=oldest)  # waits for one that has just begun the same
        if kept is not None:
            return _answer(call, kept) or {}, ()
        answer, jobs = make(rows)
        rows.repeats.end(_repeat(call), answer)
        return answer, jobs

    return call.services.database.retrying(work)


def _kept(rows: Transaction, call: Call) -> Repeat | None:
    kept = rows.repeats.find(call.project_id, call.headers["Idempotency-Key"])
    oldest = call.services.clock.now() - KEPT
    return kept if kept and kept.created_at and kept.created_at >= oldest else None


def _answer(call: Call, kept: Repeat | None) -> Mapping[str, Any] | None:
    if kept is None:
        return None
    if (kept.path, kept.body_hash) != (_path(call), _hash(call)):
        raise errors.Conflict("This Idempotency-Key belongs to another request.")
    LOG.info("request repeated path=%s project=%s request=%s", kept.path, call.project_id, call.context.request_id)
    return kept.response


def _repeat(call: Call) -> Repeat:
    return Repeat(call.project_id, call.headers["Idempotency-Key"], _path(call), _hash(call))


def _path(call: Call) -> str:
    """What was asked for, without the address under which the client reaches us."""
    return f"{call.method} {call.rule} {json.dumps(dict(call.path), sort_keys=True)}"


def _hash(call: Call) -> str:
    body = {name: value for name, value in (call.body or {}).items() if name not in _SECRET}
    if isinstance(body.get("parameters"), dict):
        body["parameters"] = without_secrets({key: given or {} for key, given in body["parameters"].items()})
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
