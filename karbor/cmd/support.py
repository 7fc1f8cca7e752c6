# SPDX-License-Identifier: Apache-2.0
"""What does somebody need who shall find out what is wrong, and what must not be shown to them?

One archive: settings, provider files and logs without secrets, versions, and what the database tells of services, work
and failures. Each part is gathered for itself: what cannot be had is named in its place, and the rest is there.
"""

import io
import json
import logging
import platform
import shutil
import stat
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from karbor.app.wiring import Shared
from karbor.cmd import options
from karbor.common import durable
from karbor.common.redact import Redactor, secrets_in
from karbor.db import figures, schema
from karbor.db.database import Transaction
from karbor.model import errors
from karbor.model.operation import Job
from karbor.model.page import PageRequest

LOGS = 200  # newest operation logs
FAILURES = 50  # newest of each noun
TAIL = 1024 * 1024  # bytes of each log file
_LOG_FILES = 8


class Bundle:
    """Gathers the parts. ``logs``: files to take the end of, beside those that the settings name."""

    def __init__(self, shared: Shared, *, logs: Sequence[Path] = ()) -> None:
        self._shared = shared
        self._conf = shared.conf
        self._logs = logs
        self._names = _secret_names()
        self._texts = {path: _read(path) for path in self._setting_files()}
        known = {secret for text in self._texts.values() for secret in secrets_in(text, self._names)}
        self._hide = Redactor(known)

    def write(self, output: Path) -> Mapping[str, Any]:
        """Write the archive, readable for its owner only; returns what is in it. Raises InvalidInput where it cannot
        be written."""
        parts = dict(self._parts())
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for name, content in parts.items():
                entry = tarfile.TarInfo(f"karbor-support/{name}")
                entry.size, entry.mode = len(content), 0o600
                entry.mtime = int(self._shared.clock.now().timestamp())
                archive.addfile(entry, io.BytesIO(content))
        try:
            durable.write_file(output.absolute(), packed.getvalue())
        except OSError as fault:
            raise errors.InvalidInput(f"The bundle cannot be written: {fault}.") from fault
        return {"bundle": str(output), "parts": sorted(parts), "bytes": len(packed.getvalue())}

    def _parts(self) -> Iterator[tuple[str, bytes]]:
        told: Mapping[str, Callable[[], Any]] = {
            "versions.json": self._versions,
            "host.json": self._host,
            "database.json": lambda: self._asked(self._state),
            "operation_logs.json": lambda: self._asked(_operation_logs),
            "failures.json": lambda: self._asked(_failures),
        }
        for name, tell in told.items():
            try:
                answer = tell()
            except (SQLAlchemyError, errors.KarborError, OSError) as fault:
                answer = {"problem": f"{type(fault).__name__}: {fault}"}
            text = json.dumps(self._hide.value(answer), indent=1, default=str)
            yield name, text.encode()
        yield "settings-in-use.txt", self._settings_in_use().encode()
        for path, text in self._texts.items():
            place = "providers" if path.parent == Path(self._conf.provider_config_dir) else "settings"
            yield f"{place}/{path.name}", self._hide.settings(text, self._names).encode()
        for path in self._log_files():
            yield f"logs/{path.name}", self._hide.text(_tail(path)).encode()

    def _setting_files(self) -> Sequence[Path]:
        found = [Path(name) for name in self._conf.config_file or ()]
        for directory in self._conf.config_dir or ():
            found += sorted(Path(directory).glob("*.conf"))
        return [*found, *sorted(Path(self._conf.provider_config_dir).glob("*.conf"))]

    def _settings_in_use(self) -> str:
        lines = _Lines()
        self._conf.log_opt_values(lines, logging.INFO)  # type: ignore[arg-type] # hides what is declared secret
        return self._hide.settings("\n".join(lines.lines), self._names)

    def _log_files(self) -> Sequence[Path]:
        directory = Path(self._conf.log_dir or ".")
        named = [directory / self._conf.log_file] if self._conf.log_file else []
        if self._conf.log_dir and not named:
            named = sorted(directory.glob("karbor*.log"))
        return [path for path in (*self._logs, *named) if path.is_file()][:_LOG_FILES]

    def _versions(self) -> Mapping[str, Any]:
        libraries = sorted({entry.metadata["Name"]: entry.version for entry in metadata.distributions()}.items())
        return {"karbor": metadata.version("karbor"), "python": sys.version, "libraries": dict(libraries)}

    def _host(self) -> Mapping[str, Any]:
        key = Path(self._conf.vault.master_key_file)
        disk = shutil.disk_usage(self._conf.state_path) if Path(self._conf.state_path).exists() else None
        return {
            "host": self._conf.host,
            "platform": platform.platform(),
            "now": self._shared.clock.now(),
            "master_key_file": stat.filemode(key.stat().st_mode) if key.exists() else "there is none",
            "state_path": {"total": disk.total, "free": disk.free} if disk else "does not exist",
        }

    def _asked(self, question: Callable[[Transaction], Any]) -> Any:
        with self._shared.database.read() as rows:
            return question(rows)

    def _state(self, rows: Transaction) -> Mapping[str, Any]:
        now = self._shared.clock.now()
        found = figures.condition(rows, now=now, down_after=self._conf.service_down_time)
        return {
            "kind": rows.connection.dialect.name,
            "schema": schema.revisions(self._shared.database.reader),
            "schema_is_current": self._shared.database.is_current(),
            "services": [asdict(service) | {"up": lives} for service, lives in found.services],
            "providers": [
                {"id": info.id, "name": info.name, "available": info.available, "reason": info.reason}
                for info in rows.providers.list(PageRequest(sort=())).items
            ],
            "jobs": {f"{operation} {state}": number for (operation, state), number in figures.jobs(rows).items()},
            "oldest_queued_seconds": found.oldest_queued_seconds,
            "checkpoints": [asdict(entry) for entry in figures.checkpoints(rows)],
            "oldest_plans": [asdict(age) for age in figures.oldest_plans(rows, now=now, limit=FAILURES)],
            "live_jobs": [_job(job) for job in rows.jobs.live()[:LOGS]],
        }


class _Lines:
    """What oslo.config takes for a logger."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, _level: int, text: str, *values: Any) -> None:
        self.lines.append(text % values if values else text)


def _secret_names() -> frozenset[str]:
    """Settings of ours and of the installed plug-ins that are declared secret."""
    declared = [*options.list_opts(), *options.list_provider_opts()]
    return frozenset(name for _group, opts in declared for opt in opts if opt.secret for name in (opt.name, opt.dest))


def _operation_logs(rows: Transaction) -> Any:
    page = rows.operation_logs.list(PageRequest(limit=LOGS, sort=(("started_at", "desc"),)))
    return [asdict(entry) for entry in page.items]


def _failures(rows: Transaction) -> Any:
    """What failed last, with the reasons."""

    def newest(kept: Any, status: str) -> Any:
        return kept.list(PageRequest(limit=FAILURES, filters={"status": status})).items

    return {
        "jobs": [_job(job) for job in rows.jobs.failed(FAILURES)],
        "checkpoints": [
            {"id": entry.id, "status": entry.status, "reason": asdict(entry.reason) if entry.reason else None}
            for status in ("error", "error-deleting")
            for entry in newest(rows.checkpoints, status)
        ],
        **{
            name: [{"id": entry.id, "reasons": dict(entry.resources_reason)} for entry in newest(kept, "fail")]
            for name, kept in (("restores", rows.restores), ("verifications", rows.verifications))
        },
    }


def _job(job: Job) -> Mapping[str, Any]:
    payload = {name: job.payload[name] for name in ("failure", "state_note") if job.payload.get(name)}
    return asdict(job) | {"payload": payload}


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError as fault:
        return f"# cannot be read: {fault}"


def _tail(path: Path) -> str:
    """The last lines; what the cut left of the first one may be half a secret."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(max(0, size - TAIL))
            text = file.read(TAIL).decode(errors="replace")
    except OSError as fault:
        return f"cannot be read: {fault}"
    return text if size <= TAIL else text.partition("\n")[2]


def bundle(shared: Shared, output: str, logs: Sequence[str]) -> Mapping[str, Any]:
    """For ``karbor-manage support bundle``."""
    return Bundle(shared, logs=[Path(name) for name in logs]).write(Path(output))
