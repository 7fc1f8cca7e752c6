# SPDX-License-Identifier: Apache-2.0
"""What does a failure of a service of the cloud mean in our own errors?

A service writes the text of a 4xx for the tenant whose request it refuses, so that much of it is shown; everything else
it says is for operators only.
"""

import re
from typing import Any

import requests
from keystoneauth1 import exceptions as login_errors
from openstack import exceptions as sdk_errors

from karbor.model import errors

#: Everything that the libraries below us raise by themselves.
RAISED = (sdk_errors.SDKException, login_errors.ClientException, requests.RequestException)
_SHOWN = 300  # characters of a service's text that a user sees
_NO_SERVICE = (login_errors.EndpointNotFound, login_errors.EmptyCatalog, sdk_errors.ServiceDisabledException)
_LOGIN = (login_errors.Unauthorized, login_errors.AuthorizationFailure, login_errors.AuthPluginException)
_BY_STATUS: dict[int, tuple[type[errors.KarborError], str]] = {
    400: (errors.InvalidInput, "The {service} service refused the request"),
    401: (errors.Unauthorized, "The cloud does not accept the login"),
    403: (errors.Forbidden, "The {service} service does not allow this"),
    404: (errors.ResourceNotFound, "The {service} service has no such thing"),
    409: (errors.Conflict, "The {service} service cannot do this now"),
    412: (errors.Conflict, "The {service} service cannot do this now"),
    413: (errors.TooLarge, "The {service} service has a quota that does not allow this"),
    422: (errors.InvalidInput, "The {service} service refused the request"),
    429: (errors.TooMany, "The {service} service gets too many requests"),
    501: (errors.NotSupported, "The {service} service cannot do this"),
}


def translated(fault: Exception, service: str) -> errors.KarborError:
    """The error of ours for what a library raised in a call of ``service`` (``compute``, ``block_storage``...)."""
    name = service.replace("_", "-")
    if isinstance(fault, _NO_SERVICE):
        return errors.NotSupported(
            f"This cloud has no {name} service.",
            detail=str(fault),
            next_action="check the catalog, and region_name and interface in [clients]",
        )
    if isinstance(fault, _LOGIN):
        return errors.Unauthorized("The cloud does not accept the login.", detail=_operator_text(fault))
    status = int(getattr(fault, "status_code", None) or getattr(fault, "http_status", None) or 0)
    if status in _BY_STATUS:
        kind, text = _BY_STATUS[status]
        said = _said(fault) if status != 401 else ""
        shown = text.format(service=name) + (f": {said}" if said else ".")
        return kind(shown, detail=_operator_text(fault))
    return unavailable(service, _operator_text(fault))


def unavailable(service: str, detail: str) -> errors.Unavailable:
    """The service did not answer, or with a fault of its own."""
    name = service.replace("_", "-")
    return errors.Unavailable(f"The {name} service of the cloud does not work just now.", detail=detail)


def _said(fault: Any) -> str:
    """What the service says to the tenant, in one line; nothing where that is a page of a proxy."""
    text = str(getattr(fault, "details", None) or getattr(fault, "message", None) or "")
    if "<" in text:
        return ""
    line = re.sub(r"\s+", " ", text).strip()
    return line if len(line) <= _SHOWN else line[: _SHOWN - 3] + "..."


def _operator_text(fault: Any) -> str:
    request_id = getattr(fault, "request_id", None)
    text = re.sub(r"\s+", " ", f"{type(fault).__name__}: {fault}")[:2000]
    return f"{text} request={request_id}" if request_id else text
