# SPDX-License-Identifier: Apache-2.0
"""How does a Swift container keep the objects of a bank?

Swift has no atomic put: ``If-None-Match: *`` is looked at when a put begins, the object is there when it ends, and of
puts that overlap the latest stays, all with 201. So where contents of several writers may meet (``put_if_absent``),
nobody believes what an object says before it is ``bank_swift_settle`` seconds old: writers wait and read back whose it
is, readers of a young one wait as well. A put that is on its way inside Swift longer than that breaks this rule.
"""

import hashlib
import threading
from collections.abc import Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from karbor.common.retrying import Passing, Policy
from karbor.model import errors
from karbor.plugins.banks.objectstore import IDENTITY, ObjectStoreBank
from karbor.plugins.banks.swiftdoor import Answer, Door
from karbor.sdk.bank import Capabilities, ObjectInfo
from karbor.sdk.options import Options, option, required

_CLIENT = "swift_client"
_MARK = "X-Object-Meta-Karbor-Put"
_CONTENDED = "X-Object-Meta-Karbor-Contended"
_PAGE = 1000


class SwiftBank(ObjectStoreBank):
    """Keep objects in a container of OpenStack Object Storage.

    The container belongs to Karbor alone. Of two that put a checkpoint record or the first key of a project at the same
    time one wins, as long as Swift ends each put within ``bank_swift_settle`` seconds; each such put takes that long.
    """

    class Settings(Options):
        swift_auth_url: str = required("URL of Keystone (v3), or of v1 authentication (tempauth).", section=_CLIENT)
        swift_auth_version: Literal["auto", "1", "3"] = option(
            "auto", "Kind of authentication; auto: 1 where the URL says so, else 3.", section=_CLIENT
        )
        swift_user: str = required("User; account:user with v1 authentication.", section=_CLIENT)
        swift_key: str = required("Password of the user.", secret=True, section=_CLIENT)
        swift_tenant_name: str = option("", "Project of the user.", section=_CLIENT)
        swift_project_domain_name: str = option("default", "Domain of the project.", section=_CLIENT)
        swift_user_domain_name: str = option("default", "Domain of the user.", section=_CLIENT)
        swift_region: str = option("", "Region to look for in the catalog.", section=_CLIENT)
        swift_endpoint: str = option("", "URL of the account; from the catalog where it is empty.", section=_CLIENT)
        swift_catalog_info: str = option(
            "object-store:swift:publicURL", "What to look for in the catalog: type:name:interface.", section=_CLIENT
        )
        swift_retry_attempts: int = option(5, "Tries of one request, in all.", minimum=1, maximum=100, section=_CLIENT)
        swift_retry_backoff: float = option(
            2.0, "Wait before the second try; each later one is twice as long, up to 30 s.", unit="s", section=_CLIENT
        )
        swift_ca_cert_file: str = option(
            "", "Certificates of authorities that sign the service's own.", section=_CLIENT
        )
        swift_auth_insecure: bool = option(False, "Do not check certificates.", section=_CLIENT)
        swift_timeout: int = option(
            60, "Longest silence of the service in a request.", minimum=1, unit="s", section=_CLIENT
        )
        swift_connections: int = option(16, "Connections of one process that are kept.", minimum=1, section=_CLIENT)
        bank_swift_object_container: str = option("karbor", "Container that holds the bank and nothing else.")
        bank_swift_checksum: bool = option(
            True, "Let Swift refuse what was damaged on its way? Costs two seconds of CPU time for each GB."
        )
        bank_swift_settle: float = option(
            10.0, "Longest time that a put of a small object can take inside Swift. Each put of a record waits for it.",
            minimum=0, unit="s",
        )  # fmt: skip
        bank_swift_list_lag: float = option(
            600.0, "Time after which lists show what was put or deleted; twice the interval of the object updater.",
            minimum=0, unit="s",
        )  # fmt: skip

    def __init__(self, settings: Options) -> None:
        values = settings.to_dict()
        container = values["bank_swift_object_container"]
        if not container or "/" in container:
            raise errors.ConfigurationError("bank_swift_object_container must be the name of a container.")
        policy = Policy(attempts=values["swift_retry_attempts"], backoff=values["swift_retry_backoff"])
        super().__init__(settings, policy=policy, place=f"{values['swift_auth_url']} container {container}")
        self.capabilities = Capabilities(shared=True, list_lag=values["bank_swift_list_lag"])
        self._settle: float = values["bank_swift_settle"]
        self._container: str = container
        self._made: Door | None = None
        self._lock = threading.Lock()  # guards _made

    @property
    def _door(self) -> Door:
        with self._lock:
            if self._made is None:
                self._made = Door(self.options, self._container)
            return self._made

    def _make_place(self) -> None:
        self._door.send("PUT")

    def _put(self, name: str, data: bytes, mark: str, *, contended: bool) -> bool:
        headers = {
            "If-None-Match": "*",
            "Content-Type": "application/octet-stream",
            _MARK: mark,
        }
        if contended:
            headers[_CONTENDED] = "yes"
        if self.options["bank_swift_checksum"]:
            headers["ETag"] = hashlib.md5(data, usedforsecurity=False).hexdigest()
        status = self._door.send("PUT", name, headers=headers, body=data, expected=(409, 412)).status
        if status == 409:
            self._require_there(name)
        if contended and status == 201:
            self._retrying.pause(self._settle)
            return self._door.send("HEAD", name, headers={"X-Newest": "true"}).headers.get(_MARK) == mark
        return status == 201

    def _require_there(self, name: str) -> None:
        """What stands under this name is newer by the clock of another proxy: an object, or that one was deleted."""
        try:
            self._door.send("HEAD", name)
        except errors.ObjectNotFound as fault:
            said = errors.BankUnavailable(
                detail=f"{name} was deleted later than now", next_action="set the clocks of the Swift proxies"
            )
            raise Passing(said) from fault

    def _mark(self, name: str) -> str | None:
        return self._settled("HEAD", name).headers.get(_MARK)

    def _settled(self, method: str, name: str, headers: dict[str, str] | None = None) -> Answer:
        """The answer, once its object cannot be replaced any more by a put that began before it was there."""
        sent = dict(headers or {})
        while True:
            answer = self._door.send(method, name, headers=sent, expected=(416,))
            left = self._settle - _age(answer) if _CONTENDED in answer.headers else 0.0
            if left <= 0:
                return answer
            sent["X-Newest"] = "true"
            self._retrying.pause(min(left, self._settle))

    def _read(self, name: str, offset: int, length: int | None) -> bytes:
        whole = offset == 0 and length is None
        span = {} if whole else {"Range": f"bytes={offset}-{'' if length is None else offset + length - 1}"}
        answer = self._settled("GET", name, span)
        if answer.status == 416:  # behind the end
            return b""
        if whole or answer.status == 206:
            return answer.body
        return answer.body[offset:] if length is None else answer.body[offset : offset + length]

    def _stat(self, name: str) -> ObjectInfo:
        headers = self._door.send("HEAD", name).headers
        return ObjectInfo(name, int(headers["Content-Length"]), float(headers["X-Timestamp"]))

    def _page(self, prefix: str, after: str, limit: int) -> Sequence[ObjectInfo]:
        query = {"format": "json", "prefix": prefix, "marker": after, "limit": str(min(limit, _PAGE))}
        found: list[dict[str, Any]] = self._door.send("GET", query=query).json()
        return [ObjectInfo(one["name"], one["bytes"], _moment(one["last_modified"])) for one in found]

    def _remove(self, name: str) -> None:
        self._door.send("DELETE", name)

    def now(self) -> datetime | None:
        return parsedate_to_datetime(self._again(lambda: self._door.send("HEAD", IDENTITY)).headers["Date"])


def _age(answer: Answer) -> float:
    """Seconds since the object was put, by the clocks of the service."""
    now = parsedate_to_datetime(answer.headers["Date"]).timestamp()
    return max(0.0, now - float(answer.headers["X-Timestamp"]))


def _moment(text: str) -> float:
    return datetime.fromisoformat(text + "+00:00").timestamp()
