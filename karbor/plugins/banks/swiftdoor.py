# SPDX-License-Identifier: Apache-2.0
"""How does a request get to Swift: with which token, over which connection, and what does a refusal mean?"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import urllib3
from keystoneauth1 import exceptions as keystone
from keystoneauth1 import session as sessions
from keystoneauth1.identity import v3
from swiftclient import authv1
from urllib3 import exceptions as broken

from karbor.common.retrying import Passing
from karbor.model import errors

_CONNECT = 10  # seconds
_LOOK = "look at the Swift proxies and the way to them"


@dataclass(frozen=True)
class Answer:
    """``headers`` are found by names of any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Raises BankUnavailable where the body is none."""
        try:
            return json.loads(self.body)
        except ValueError as fault:
            raise errors.BankUnavailable(detail=f"the answer is no JSON: {self.body[:100]!r}") from fault


class Door:
    """The way to one container. Thread-safe: tokens are renewed by one thread, connections come from a pool."""

    def __init__(self, options: Mapping[str, Any], container: str) -> None:
        self._options = options
        self._container = quote(container, safe="")
        verify: bool | str = not options["swift_auth_insecure"] and (options["swift_ca_cert_file"] or True)
        self._session = sessions.Session(
            auth=_plugin(options), verify=verify, timeout=options["swift_timeout"], connect_retries=0
        )
        trust: dict[str, Any] = {"cert_reqs": "CERT_REQUIRED", "ca_certs": options["swift_ca_cert_file"] or None}
        try:
            self._pool = urllib3.PoolManager(
                maxsize=options["swift_connections"],
                timeout=urllib3.Timeout(connect=_CONNECT, read=options["swift_timeout"]),
                retries=False,
                **({"cert_reqs": "CERT_NONE"} if options["swift_auth_insecure"] else trust),
            )
        except OSError as fault:
            raise errors.ConfigurationError("swift_ca_cert_file cannot be used.", detail=str(fault)) from fault

    def send(
        self,
        method: str,
        name: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        expected: Collection[int] = (),
    ) -> Answer:
        """One request about an object, or about the container where no name is given. A token that the service does
        not take any more is renewed once.

        Answers other than 2xx and ``expected`` are raised: ObjectNotFound, BankFull, BankUnavailable, and Passing
        around what may pass.
        """
        path = f"/{self._container}" + (f"/{quote(name)}" if name else "") + (f"?{urlencode(query)}" if query else "")
        for fresh in (False, True):
            where, token = self._place(fresh=fresh)
            answer = self._one(method, where + path, {"X-Auth-Token": token, **(headers or {})}, body)
            if answer.status != 401:
                break
        if 200 <= answer.status < 300 or answer.status in expected:
            return answer
        raise _refusal(answer, f"{method} {where}{path.partition('?')[0]}")

    def _place(self, *, fresh: bool) -> tuple[str, str]:
        """URL of the account, and a token."""
        try:
            if fresh:
                self._session.invalidate()
            token = self._session.get_token()
            kind, name, interface = _catalog(self._options["swift_catalog_info"])
            given: dict[str, Any] = {"service_type": kind, "service_name": name, "interface": interface}
            given["region_name"] = self._options["swift_region"] or None
            where = self._options["swift_endpoint"] or self._session.get_endpoint(**given)
        except (keystone.Unauthorized, keystone.Forbidden, keystone.NotFound) as fault:
            raise errors.BankUnavailable(
                "The bank refuses the service.",
                detail=f"{self._options['swift_auth_url']}: {fault}",
                next_action="correct user, key and project in [swift_client]",
            ) from fault
        except keystone.SSLError as fault:
            raise _untrusted(str(fault)) from fault
        except (keystone.ConnectFailure, keystone.HttpServerError, keystone.RetriableConnectionFailure) as fault:
            said = errors.BankUnavailable(detail=str(fault), next_action="look at the service of swift_auth_url")
            raise Passing(said) from fault
        except keystone.CatalogException as fault:
            raise self._nowhere() from fault
        except keystone.ClientException as fault:
            raise errors.BankUnavailable(detail=str(fault), next_action="correct [swift_client]") from fault
        if not where or not token:
            raise self._nowhere()
        return where.rstrip("/"), token

    def _nowhere(self) -> errors.BankUnavailable:
        return errors.BankUnavailable(
            detail=f"no {self._options['swift_catalog_info']} in the catalog of {self._options['swift_auth_url']}",
            next_action="correct swift_catalog_info and swift_region, or set swift_endpoint",
        )

    def _one(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        try:
            found = self._pool.request(method, url, headers=headers, body=body, redirect=False)
            data = found.data
        except (broken.SSLError, broken.LocationValueError) as fault:
            raise _untrusted(str(fault)) from fault
        except broken.HTTPError as fault:
            raise Passing(errors.BankUnavailable(detail=f"{method} {url}: {fault}", next_action=_LOOK)) from fault
        return Answer(found.status, found.headers, data)


def _plugin(options: Mapping[str, Any]) -> Any:
    url, version = options["swift_auth_url"], options["swift_auth_version"]
    if version == "1" or (version == "auto" and "/v1" in urlsplit(url).path):
        return authv1.PasswordPlugin(url, options["swift_user"], options["swift_key"])
    return v3.Password(
        auth_url=url,
        username=options["swift_user"],
        password=options["swift_key"],
        project_name=options["swift_tenant_name"] or None,
        user_domain_name=options["swift_user_domain_name"],
        project_domain_name=options["swift_project_domain_name"],
    )


def _catalog(text: str) -> tuple[str, str | None, str]:
    parts = text.split(":")
    if len(parts) != 3:
        raise errors.ConfigurationError("swift_catalog_info must be type:name:interface.", detail=text)
    return parts[0], parts[1] or None, parts[2].removesuffix("URL")


def _untrusted(detail: str) -> errors.BankUnavailable:
    return errors.BankUnavailable(
        detail=detail, next_action="name the authority of its certificate in swift_ca_cert_file"
    )


def _refusal(answer: Answer, what: str) -> Exception:
    status = answer.status
    detail = f"{what}: {status} {answer.body[:200].decode('utf-8', 'replace')}".strip()
    if status == 404:
        return errors.ObjectNotFound(detail=detail)
    if status in (413, 507):
        return errors.BankFull(detail=detail, next_action="raise the quota, or clean the bank up")
    if status in (408, 409, 422, 429, 498) or (status >= 500 and status != 501):
        wait = answer.headers.get("Retry-After", "")
        said = errors.BankUnavailable(detail=detail, next_action=_LOOK)
        return Passing(said, wait=min(float(wait), 60.0) if wait.isdigit() else 0.0)
    if status in (401, 403):
        return errors.BankUnavailable(
            "The bank refuses the service.",
            detail=detail,
            next_action="give the user of [swift_client] the right to write",
        )
    return errors.BankUnavailable(detail=detail, next_action="correct [swift_client] and [swift_bank_plugin]")
