# SPDX-License-Identifier: Apache-2.0
"""How does an S3 bucket keep the objects of a bank?

Names are put with ``If-None-Match: *``, which S3 decides atomically. A store that answers otherwise than with 412 to
the second of two such puts is refused before anything is written: some ignore the header and overwrite.
"""

import base64
import threading
import uuid
import zlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import boto3
import botocore.config
from botocore import exceptions as faults

from karbor.common.retrying import Policy
from karbor.model import errors
from karbor.plugins.banks import s3faults
from karbor.plugins.banks.objectstore import ObjectStoreBank
from karbor.plugins.banks.s3lock import ObjectLock, now
from karbor.sdk.bank import Capabilities, ObjectInfo, valid_name
from karbor.sdk.options import Options, option

_CLIENT = "s3_client"
_MARK = "karbor-put"
_PAGE = 1000
_LOCKED = timedelta(seconds=30)


class S3Bank(ObjectStoreBank):
    """Keep objects in a bucket of Amazon S3, or of a store that speaks S3 and has conditional writes.

    The bucket belongs to Karbor alone. Where no keys are given, those of the environment, of the shared files of the
    SDK or of the instance are used. Writes are refused where the bucket does not keep an object that is there.
    """

    class Settings(Options):
        s3_endpoint: str = option("", "URL of the service; Amazon's own where it is empty.", section=_CLIENT)
        s3_region: str = option("", "Region that requests are signed for.", section=_CLIENT)
        s3_access_key: str = option("", "Access key; where it is empty the SDK looks for keys.", section=_CLIENT)
        s3_secret_key: str = option("", "Secret key.", secret=True, section=_CLIENT)
        s3_ca_cert_file: str = option("", "Certificates of authorities that sign the service's own.", section=_CLIENT)
        s3_auth_insecure: bool = option(False, "Do not check the certificate of the service.", section=_CLIENT)
        s3_addressing_style: Literal["auto", "path", "virtual"] = option(
            "auto", "Is the bucket a part of the path or of the host name?", section=_CLIENT
        )
        s3_retry_attempts: int = option(5, "Tries of one request, in all.", minimum=1, maximum=100, section=_CLIENT)
        s3_retry_backoff: float = option(
            2.0, "Wait before the second try; each later one is twice as long, up to 30 s.", unit="s", section=_CLIENT
        )
        s3_timeout: int = option(
            60, "Longest silence of the service in a request.", minimum=1, unit="s", section=_CLIENT
        )
        s3_connections: int = option(16, "Connections of one process that are kept.", minimum=1, section=_CLIENT)
        bank_s3_object_bucket: str = option("karbor", "Bucket that holds the bank and nothing else.")
        bank_s3_part_size: int = option(
            64, "Larger objects are sent in parts of this size.", minimum=5, maximum=4096, unit="MiB"
        )
        bank_s3_object_lock: bool = option(False, "Is the bucket to keep locked objects? Refused where it does not.")

    capabilities = Capabilities(shared=True)

    def __init__(self, settings: Options) -> None:
        values = settings.to_dict()
        self._bucket: str = values["bank_s3_object_bucket"]
        if not self._bucket or "/" in self._bucket:
            raise errors.ConfigurationError("bank_s3_object_bucket must be the name of a bucket.")
        policy = Policy(attempts=values["s3_retry_attempts"], backoff=values["s3_retry_backoff"])
        place = f"{values['s3_endpoint'] or 's3'} bucket {self._bucket}"
        super().__init__(settings, policy=policy, place=place)
        self._part = values["bank_s3_part_size"] << 20
        self._made: Any = None
        self._fit = False
        self._locking = ObjectLock(self._call) if values["bank_s3_object_lock"] else None
        self._lock = threading.RLock()  # guards _made and _fit
        if values["bank_s3_object_lock"]:
            self.capabilities = Capabilities(shared=True, object_lock=True)

    @property
    def _client(self) -> Any:
        with self._lock:
            if self._made is None:
                self._made = self._make_client()
            return self._made

    def _make_client(self) -> Any:
        given = self.options
        secure = not given["s3_endpoint"].startswith("http://")
        config = botocore.config.Config(
            retries={
                "total_max_attempts": 1,
                "mode": "standard",
            },  # trying again has its home in karbor.common.retrying
            connect_timeout=10,
            read_timeout=given["s3_timeout"],
            max_pool_connections=given["s3_connections"],
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            # Over TLS nobody changes the body on its way, and hashing it twice costs a second per GB.
            s3={"addressing_style": given["s3_addressing_style"], "payload_signing_enabled": not secure},
        )
        with s3faults.told(self._place):
            return boto3.session.Session().client(
                "s3",
                endpoint_url=given["s3_endpoint"] or None,
                region_name=given["s3_region"] or ("us-east-1" if given["s3_endpoint"] else None),
                aws_access_key_id=given["s3_access_key"] or None,
                aws_secret_access_key=given["s3_secret_key"] or None,
                verify=False if given["s3_auth_insecure"] else given["s3_ca_cert_file"] or None,
                config=config,
            )

    def _call(self, method: str, **arguments: Any) -> Any:
        with s3faults.told(self._place):
            return getattr(self._client, method)(Bucket=self._bucket, **arguments)

    def _make_place(self) -> None:
        with s3faults.told(self._place):
            client = self._client
            try:
                client.head_bucket(Bucket=self._bucket)
            except faults.ClientError as fault:
                if s3faults.status_of(fault) != 404:
                    raise
                region = client.meta.region_name
                rest: dict[str, Any] = {}
                if region and region != "us-east-1":
                    rest["CreateBucketConfiguration"] = {"LocationConstraint": region}
                if self.options["bank_s3_object_lock"]:
                    rest["ObjectLockEnabledForBucket"] = True
                client.create_bucket(Bucket=self._bucket, **rest)

    def _require_fit(self) -> None:
        """Put one small object twice, one after the other; the second must be refused."""
        with self._lock:
            if not self._fit:
                self._probe()
                self._fit = True

    def _probe(self) -> None:
        name = f".karbor-probe-{uuid.uuid4()}"
        try:
            first, second = (self._put_with_mark(name, b"probe", contended=True) for _ in range(2))
        except errors.NotSupported as fault:
            raise s3faults.unfit(fault.detail) from fault
        try:
            if not first or second:
                raise s3faults.unfit("a put with If-None-Match replaced an object that was there")
        finally:
            self._again(lambda: self._remove(name))
        if self._locking is not None:
            self._probe_lock(self._locking)

    def _probe_lock(self, locking: ObjectLock) -> None:
        """Some stores take the request for a lock and forget it; so one is asked for and looked at."""
        try:
            state = self._again(lambda: self._call("get_object_lock_configuration"))
        except errors.KarborError as fault:
            raise s3faults.unlocked(fault.operator_text()) from fault
        if state.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") != "Enabled":
            raise s3faults.unlocked("object lock is not enabled")
        name, until = f".karbor-probe-{uuid.uuid4()}", self._retrying.clock.now().replace(microsecond=0) + _LOCKED
        lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until, "ChecksumAlgorithm": "CRC32"}
        put = self._again(lambda: self._call("put_object", Key=name, Body=b"", **lock, **_checksum(b"")))
        shown = self._again(lambda: self._call("head_object", Key=name))
        self._again(lambda: locking.remove_probe(name, put.get("VersionId", "null")))
        found = shown.get("ObjectLockMode"), shown.get("ObjectLockRetainUntilDate")
        if not put.get("VersionId") or found != ("GOVERNANCE", until):
            raise s3faults.unlocked("a lock that was asked for is not there")

    def _put(self, name: str, data: bytes, mark: str, *, contended: bool) -> bool:
        try:
            if len(data) > self._part:
                self._put_parts(name, data, mark)
            else:
                self._call(
                    "put_object", Key=name, Body=data, IfNoneMatch="*", Metadata={_MARK: mark}, **_checksum(data)
                )
        except errors.PreconditionFailed:
            return False
        return True

    def _put_parts(self, name: str, data: bytes, mark: str) -> None:
        upload = self._call("create_multipart_upload", Key=name, Metadata={_MARK: mark})["UploadId"]
        same = {"Key": name, "UploadId": upload}
        try:
            parts = []
            view = memoryview(data)
            for number, start in enumerate(range(0, len(data), self._part), 1):
                part = bytes(view[start : start + self._part])
                done = self._call("upload_part", PartNumber=number, Body=part, **same, **_checksum(part))
                parts.append({"PartNumber": number, "ETag": done["ETag"]})
            self._call("complete_multipart_upload", MultipartUpload={"Parts": parts}, IfNoneMatch="*", **same)
        except BaseException:
            self._forget(same)
            raise

    def _forget(self, upload: dict[str, str]) -> None:
        """Give up an upload in parts. What cannot be removed now is left to the lifecycle rule of the bucket."""
        try:
            self._call("abort_multipart_upload", **upload)
        except (errors.KarborError, s3faults.Passing):
            return

    def _mark(self, name: str) -> str | None:
        found: str | None = self._call("head_object", Key=name)["Metadata"].get(_MARK)
        return found

    def _read(self, name: str, offset: int, length: int | None) -> bytes:
        return self._uncovered(name, lambda: self._read_once(name, offset, length))

    def _read_once(self, name: str, offset: int, length: int | None) -> bytes:
        whole = offset == 0 and length is None
        span = {} if whole else {"Range": f"bytes={offset}-{'' if length is None else offset + length - 1}"}
        with s3faults.told(self._place):
            try:
                answer = self._client.get_object(Bucket=self._bucket, Key=name, **span)
            except faults.ClientError as fault:
                if s3faults.status_of(fault) == 416:  # behind the end
                    return b""
                raise
            with answer["Body"] as body:
                data: bytes = body.read()
        if whole or answer["ResponseMetadata"]["HTTPStatusCode"] == 206:
            return data
        return data[offset:] if length is None else data[offset : offset + length]  # the range was passed over

    def _stat(self, name: str) -> ObjectInfo:
        found = self._uncovered(name, lambda: self._call("head_object", Key=name))
        return ObjectInfo(name, found["ContentLength"], found["LastModified"].timestamp())

    def _page(self, prefix: str, after: str, limit: int) -> Sequence[ObjectInfo]:
        found = self._call("list_objects_v2", Prefix=prefix, StartAfter=after, MaxKeys=min(limit, _PAGE))
        return [
            ObjectInfo(one["Key"], one["Size"], one["LastModified"].timestamp()) for one in found.get("Contents", ())
        ]

    def _remove(self, name: str) -> None:
        if self._locking is not None:
            self._locking.remove(name)
        else:
            self._call("delete_object", Key=name)

    def _uncovered(self, name: str, look: Callable[[], Any]) -> Any:
        """A mark of deletion is never ours where objects can be locked: whoever put it hides what is there."""
        try:
            return look()
        except s3faults.Hidden:
            if self._locking is None:
                raise
            self._locking.uncover(name)
            return look()

    def initialise(self) -> str:
        found = super().initialise()
        if self._locking is not None:
            self._again(self._locking.uncover_all)
        return found

    def retain(self, name: str, until: datetime) -> None:
        locking = self._locking
        if locking is None:
            super().retain(name, until)
            return
        self._open(valid_name(name))
        self._require_fit()
        self._there(lambda: self._uncovered(name, lambda: locking.retain(name, until)))

    def retained(self, name: str) -> datetime | None:
        locking = self._locking
        self._open(valid_name(name))
        if locking is None:
            return None
        found: datetime | None = self._there(lambda: self._uncovered(name, lambda: locking.retained(name)))
        return found

    def now(self) -> datetime | None:
        return self._again(lambda: now(self._call("head_bucket")))


def _checksum(data: bytes) -> dict[str, str]:
    """Stores that know it refuse a body that was damaged on its way; others pass it over."""
    return {"ChecksumCRC32": base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()}
