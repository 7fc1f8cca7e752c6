# SPDX-License-Identifier: Apache-2.0
"""How does a bucket with object lock keep objects so that the service itself cannot remove them, and how is what it may
remove really gone?

Such a bucket has versions: a plain delete would only put a mark in front of an object, hide it from everybody and free
nothing. So objects are removed by their version, which the service refuses while they are kept, and marks of others are
taken away when they are met.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from karbor.model import errors
from karbor.plugins.banks import s3faults

COMPLIANCE = "COMPLIANCE"
_SECOND = timedelta(seconds=1)

#: Sends one request about the bucket: method of the client, arguments.
Call = Callable[..., Any]


class ObjectLock:
    """Each method sends its requests once; see ObjectStoreBank."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._proved = False

    def remove(self, name: str) -> None:
        """Raises ObjectNotFound, ObjectLocked. An object that is kept is not hidden either."""
        shown = self._call("head_object", Key=name)
        until = _until(shown)
        if shown.get("ObjectLockLegalHoldStatus") == "ON" or (until is not None and _date(shown) < until):
            raise errors.ObjectLocked(detail=f"{name} until {until}")
        version = {"VersionId": shown["VersionId"]} if "VersionId" in shown else {}
        try:
            self._call("delete_object", Key=name, **version)
        except errors.BankUnavailable:
            until = _until(self._call("head_object", Key=name))
            if until is not None and _date(shown) < until:  # somebody locked it since we looked
                raise errors.ObjectLocked(detail=f"{name} until {until}") from None
            raise

    def retain(self, name: str, until: datetime) -> None:
        """Never asks for an earlier moment than there is: not every service refuses that. Raises ObjectNotFound, and
        ConfigurationError where the service takes the wish and forgets it."""
        shown = self._call("head_object", Key=name)
        wanted = until.astimezone(UTC)
        if wanted.microsecond:  # the service may cut what is behind the second
            wanted = wanted.replace(microsecond=0) + _SECOND
        known = _until(shown)
        if shown.get("ObjectLockMode") == COMPLIANCE and known is not None and known >= wanted:
            return
        wish = {"Mode": COMPLIANCE, "RetainUntilDate": max(wanted, known or wanted)}
        self._call("put_object_retention", Key=name, VersionId=shown["VersionId"], Retention=wish)
        if not self._proved:
            found = self._call("head_object", Key=name)
            kept = _until(found)
            if found.get("ObjectLockMode") != COMPLIANCE or kept is None or kept < wanted:
                raise s3faults.unlocked("a retention that was asked for is not there")
            self._proved = True

    def retained(self, name: str) -> datetime | None:
        return _until(self._call("head_object", Key=name))

    def remove_probe(self, name: str, version: str) -> None:
        """What was locked for a moment, as a trial. Where that is refused, it stays; no list shows it."""
        try:
            self._call("delete_object", Key=name, VersionId=version, BypassGovernanceRetention=True)
        except errors.BankUnavailable:
            return

    def uncover(self, name: str) -> None:
        """Take away what others laid in front of an object: marks of deletion, and where a version is kept, those that
        are not. An object is written once: whatever came later is not ours."""
        self._uncover(name, only=name)

    def uncover_all(self) -> None:
        """The same for all objects."""
        self._uncover("", only=None)

    def _uncover(self, prefix: str, *, only: str | None) -> None:
        marks, versions = self._listed(prefix)
        for key, version in marks:
            if only in (None, key):
                self._call("delete_object", Key=key, VersionId=version)
        for key, found in versions.items():
            if only in (None, key) and len(found) > 1:
                self._keep_kept(key, found)

    def _keep_kept(self, key: str, found: Sequence[str]) -> None:
        modes = {one: self._call("head_object", Key=key, VersionId=one).get("ObjectLockMode") for one in found}
        if COMPLIANCE in modes.values():
            for version in (one for one, mode in modes.items() if mode != COMPLIANCE):
                self._call("delete_object", Key=key, VersionId=version)

    def _listed(self, prefix: str) -> tuple[list[tuple[str, str]], dict[str, list[str]]]:
        """Marks of deletion, and the versions of each object."""
        marks: list[tuple[str, str]] = []
        versions: dict[str, list[str]] = {}
        more: dict[str, str] = {}
        while True:
            page = self._call("list_object_versions", Prefix=prefix, **more)
            marks += [(mark["Key"], mark["VersionId"]) for mark in page.get("DeleteMarkers", ())]
            for one in page.get("Versions", ()):
                versions.setdefault(one["Key"], []).append(one["VersionId"])
            if not page.get("IsTruncated"):
                return marks, versions
            more = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}


def now(answer: Any) -> datetime:
    """What time it is by the service."""
    return _date(answer)


def _until(shown: Any) -> datetime | None:
    found: datetime | None = shown.get("ObjectLockRetainUntilDate")
    return found.astimezone(UTC) if found is not None else None


def _date(answer: Any) -> datetime:
    try:
        return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).astimezone(UTC)
    except (KeyError, ValueError, TypeError) as fault:
        raise errors.BankUnavailable(detail="the service does not say what time it is") from fault
