# SPDX-License-Identifier: Apache-2.0
"""Through which door does the engine ask for work? The REST API, as any client does.

So any scheduler may take the engine's place, and quota, policy and state are checked where they are for everybody.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import requests

from karbor.model import errors
from karbor.model.scheduled_run import ScheduledRun
from karbor.operationengine.identity import Identity

PAGE = 500
#: Errors of the API by status. What is not here and is 500 or more may pass.
_ERRORS: Mapping[int, type[errors.KarborError]] = {
    400: errors.InvalidInput,
    401: errors.Forbidden,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    413: errors.TooLarge,
    501: errors.NotSupported,
}
Shown = Mapping[str, Any]


class Northbound(ABC):
    """What the engine asks for, on behalf of a run. Used by many threads.

    Everything may be asked again: what begins work carries a key, and is begun once. All raise Unavailable where the
    answer is not known, Forbidden where the login is not taken, and what the API says otherwise.
    """

    @abstractmethod
    def protect(self, run: ScheduledRun) -> Shown:
        """Make a checkpoint of the plan; returns it. Raises Conflict where the run is another engine's by now."""

    @abstractmethod
    def checkpoint(self, run: ScheduledRun, provider_id: str, checkpoint_id: str) -> Shown:
        """A checkpoint as it is now. Raises NotFound."""

    @abstractmethod
    def checkpoints(self, run: ScheduledRun, **filters: str) -> Iterator[Shown]:
        """Every checkpoint of the run's plan at its provider, the newest first."""

    @abstractmethod
    def delete(self, run: ScheduledRun, checkpoint_id: str) -> None:
        """Delete a checkpoint. Raises Conflict where something works on it."""

    @abstractmethod
    def cancel(self, run: ScheduledRun, checkpoint_id: str) -> None:
        """Call off the making of a checkpoint. Raises Conflict where it has ended."""

    @abstractmethod
    def verify(self, run: ScheduledRun, checkpoint_id: str, parameters: Shown) -> Shown:
        """Verify a checkpoint; returns the verification."""

    @abstractmethod
    def verification(self, run: ScheduledRun, verification_id: str) -> Shown:
        """A verification as it is now. Raises NotFound."""

    @abstractmethod
    def plan_restore(self, run: ScheduledRun, checkpoint_id: str) -> Shown:
        """What a restore of the checkpoint would do now; nothing is begun."""

    @abstractmethod
    def copy(self, run: ScheduledRun, target_provider_id: str) -> Sequence[str]:
        """Copy the checkpoints of the plan that have no copy at that provider; returns the ids of the copies."""


class RestNorthbound(Northbound):
    """The REST API of a running service. ``url`` gives its address (without version) when it is known."""

    def __init__(self, url: Callable[[], str], identity: Identity, *, timeout: float) -> None:
        self._url = url
        self._identity = identity
        self._timeout = timeout

    def protect(self, run: ScheduledRun) -> Shown:
        notes = {
            "scheduled_operation_id": run.scheduled_operation_id,
            "scheduled_run_id": run.id,
            "scheduled_run_fence": run.fence,
        }
        body = {"checkpoint": {"plan_id": run.plan_id, "extra_info": notes}}
        return self._one(run, "POST", _checkpoints(run.provider_id), body, key=run.key("protect"))

    def checkpoint(self, run: ScheduledRun, provider_id: str, checkpoint_id: str) -> Shown:
        return self._one(run, "GET", f"{_checkpoints(provider_id)}/{quote(checkpoint_id)}")

    def checkpoints(self, run: ScheduledRun, **filters: str) -> Iterator[Shown]:
        query = {"plan_id": str(run.plan_id), "sort": "created_at:desc", "limit": str(PAGE), **filters}
        while True:
            found = self._send(run, "GET", f"{_checkpoints(run.provider_id)}?{urlencode(query)}")
            yield from found["checkpoints"]
            if not found.get("checkpoints_links"):
                return
            query["marker"] = found["checkpoints"][-1]["id"]

    def delete(self, run: ScheduledRun, checkpoint_id: str) -> None:
        self._send(run, "DELETE", f"{_checkpoints(run.provider_id)}/{quote(checkpoint_id)}")

    def cancel(self, run: ScheduledRun, checkpoint_id: str) -> None:
        self._send(run, "POST", f"{_checkpoints(run.provider_id)}/{quote(checkpoint_id)}/action", {"cancel": {}})

    def verify(self, run: ScheduledRun, checkpoint_id: str, parameters: Shown) -> Shown:
        wish: Shown = {"provider_id": run.provider_id, "checkpoint_id": checkpoint_id, "parameters": parameters}
        return self._one(run, "POST", "/verifications", {"verification": wish}, key=run.key("verify"))

    def verification(self, run: ScheduledRun, verification_id: str) -> Shown:
        return self._one(run, "GET", f"/verifications/{quote(verification_id)}")

    def plan_restore(self, run: ScheduledRun, checkpoint_id: str) -> Shown:
        wish: Shown = {"provider_id": run.provider_id, "checkpoint_id": checkpoint_id, "dry_run": True}
        return self._one(run, "POST", "/restores", {"restore": wish})

    def copy(self, run: ScheduledRun, target_provider_id: str) -> Sequence[str]:
        wish: Shown = {"plan_id": run.plan_id, "target_provider_id": target_provider_id, "parameters": {}}
        path = f"{_checkpoints(run.provider_id)}/action"
        found = self._one(run, "POST", path, {"copy": wish}, key=run.key("copy"))
        return [pair["checkpoint_copy_id"] for pair in found["checkpoint_id"]]

    def _one(self, run: ScheduledRun, method: str, path: str, body: Any = None, *, key: str = "") -> Shown:
        """What lies inside the envelope of the answer."""
        (found,) = self._send(run, method, path, body, key=key).values()
        return found  # type: ignore[no-any-return]

    def _send(self, run: ScheduledRun, method: str, path: str, body: Any = None, *, key: str = "") -> dict[str, Any]:
        answer = self._ask(run, method, path, body, key=key)
        if answer.status_code == 401:  # a token may end before its time: the user changed the password
            self._identity.refused(run)
            answer = self._ask(run, method, path, body, key=key)
        if answer.status_code in (401, 403):
            self._identity.refused(run)
        if not answer.ok:
            raise _fault(answer)
        try:
            return dict(answer.json()) if answer.content else {}
        except ValueError as fault:
            raise errors.Unavailable("The API gave no answer that can be read.", detail=str(fault)) from fault

    def _ask(self, run: ScheduledRun, method: str, path: str, body: Any, *, key: str) -> requests.Response:
        headers = {"Accept": "application/json", **self._identity.headers(run)}
        if key:
            headers["Idempotency-Key"] = key
        url = f"{self._url().rstrip('/')}/v1/{quote(run.project_id, safe='~:@')}{path}"
        try:
            return requests.request(
                method, url, json=body, headers=headers, timeout=self._timeout, allow_redirects=False
            )
        except requests.RequestException as fault:
            raise errors.Unavailable("The API could not be reached, or gave no answer.", detail=str(fault)) from fault


def _checkpoints(provider_id: str | None) -> str:
    return f"/providers/{quote(str(provider_id))}/checkpoints"


def _fault(answer: requests.Response) -> errors.KarborError:
    """What the API says, as the error that it was there."""
    try:
        text = str(next(iter(answer.json().values()))["message"])
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration):
        text = f"The API answered {answer.status_code}."
    kind = _ERRORS.get(answer.status_code, errors.Unavailable)
    if answer.status_code == 413 and "Retry-After" in answer.headers:
        kind = errors.Unavailable
    return kind(text)
