# SPDX-License-Identifier: Apache-2.0
"""How is a declared call made? The client is built from the interface; wrong arguments fail at the caller."""

from karbor.common import threaded  # noqa: F401  isort: skip - must come before oslo_messaging

import inspect
from typing import Any, TypeVar, cast

import oslo_messaging
from oslo_context import context

from karbor.model import errors
from karbor.rpc import interface

T = TypeVar("T")
_RETRIES = 1  # connections tried anew before a caller is told that there is no broker: it must not wait for one


class _Client:
    def __init__(
        self, declared: type[Any], messaging: oslo_messaging.transport.RPCTransport, timeout: float, host: str | None
    ) -> None:
        target = oslo_messaging.Target(topic=declared.TOPIC, version=declared.VERSION, server=host)
        self._client = oslo_messaging.get_rpc_client(messaging, target, timeout=timeout, retry=_RETRIES)
        self._kinds = interface.methods(declared)
        self._for_user = frozenset(name for name in self._kinds if interface.for_user(declared, name))
        self._signatures = {name: inspect.signature(getattr(declared, name)) for name in self._kinds}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._kinds:
            raise AttributeError(name)

        def send(*args: Any, **kwargs: Any) -> Any:
            bound = self._signatures[name].bind(self, *args, **kwargs).arguments
            bound.pop("self")
            return self._send(name, bound)

        return send

    def _send(self, name: str, arguments: dict[str, Any]) -> Any:
        current = context.get_current()
        # oslo.messaging masks this name wherever it logs a context.
        sent = ("request_id", "global_request_id", *(("auth_token",) if name in self._for_user else ()))
        ctxt = {name: getattr(current, name, None) for name in sent}
        try:
            if self._kinds[name] == "cast":
                return self._client.cast(ctxt, name, **arguments)
            return self._client.call(ctxt, name, **arguments)
        except oslo_messaging.MessagingTimeout as fault:
            raise errors.Unavailable(
                "The protection service did not answer in time.",
                detail=f"rpc {name}: {fault}",
                next_action="check that karbor-protection runs and reaches the message broker",
            ) from fault
        except (oslo_messaging.MessageDeliveryFailure, OSError) as fault:
            raise errors.Unavailable(
                "The message broker cannot be reached.",
                detail=f"rpc {name}: {fault}",
                next_action="check transport_url",
            ) from fault
        except oslo_messaging.RemoteError as fault:
            raise errors.KarborError(
                "The protection service met an internal fault.", detail=f"rpc {name}: {fault.exc_type}: {fault.value}"
            ) from fault


def make_client(
    declared: type[T],
    messaging: oslo_messaging.transport.RPCTransport,
    *,
    timeout: float = 60,
    host: str | None = None,
) -> T:
    """An object with the methods of ``declared`` that sends instead of doing: to the server on ``host``, or to any.

    Raises errors of karbor.model.errors as the server raised them, and Unavailable where nobody answers in time.
    """
    return cast(T, _Client(declared, messaging, timeout, host))
