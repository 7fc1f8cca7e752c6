# SPDX-License-Identifier: Apache-2.0
"""How are declared calls served? Only declared methods can be reached, and their signatures must agree."""

from karbor.common import threaded  # noqa: F401  isort: skip - must come before oslo_messaging

import inspect
from typing import Any

import oslo_messaging

from karbor.common import context
from karbor.model import errors
from karbor.rpc import interface


class _Endpoint:
    """Carries one method for each declared call; oslo.messaging finds them by name."""

    def __init__(self, version: str) -> None:
        self.target = oslo_messaging.Target(version=version)


def _endpoint(declared: type[Any], implementation: Any) -> _Endpoint:
    endpoint = _Endpoint(declared.VERSION)
    for name in interface.methods(declared):
        theirs = inspect.signature(getattr(declared, name)).parameters
        ours = inspect.signature(getattr(type(implementation), name)).parameters
        if getattr(type(implementation), name) is getattr(declared, name):
            raise errors.ConfigurationError(f"{type(implementation).__name__} does not answer the RPC method {name}.")
        if list(theirs) != list(ours):
            raise errors.ConfigurationError(f"RPC method {name} of {type(implementation).__name__} does not match.")
        setattr(endpoint, name, _exposed(getattr(implementation, name)))
    return endpoint


def _exposed(function: Any) -> Any:
    @oslo_messaging.expose
    @oslo_messaging.expected_exceptions(errors.KarborError)
    def serve(ctxt: dict[str, Any], **arguments: Any) -> Any:
        context.begin(
            request_id=ctxt.get("request_id"),
            global_request_id=ctxt.get("global_request_id"),
            auth_token=ctxt.get("auth_token"),
        )
        try:
            return function(**arguments)
        finally:
            context.forget_token()

    return serve


def make_server(
    declared: type[Any], implementation: Any, messaging: oslo_messaging.transport.RPCTransport, *, host: str
) -> oslo_messaging.rpc.server.RPCServer:
    """A server for ``declared``, not started yet. Raises ConfigurationError where a signature differs."""
    target = oslo_messaging.Target(topic=declared.TOPIC, server=host, version=declared.VERSION)
    return oslo_messaging.get_rpc_server(
        messaging,
        target,
        [_endpoint(declared, implementation)],
        access_policy=oslo_messaging.ExplicitRPCAccessPolicy,
    )
