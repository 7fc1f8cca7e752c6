# SPDX-License-Identifier: Apache-2.0
"""Which checkpoints does this host offer as disks, and do their processes live?

The rows say what is wanted; the processes are found by their directories, also by the next worker of this host. One
that died is started again, at the same socket; one that is over or not wanted any more is ended.
"""

import logging
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from oslo_config import cfg
from sqlalchemy.exc import SQLAlchemyError

from karbor.common.clock import Clock
from karbor.db.database import Database
from karbor.model import errors
from karbor.model.export import Export
from karbor.protection.exportprocess import ExportProcess

LOG = logging.getLogger(__name__)
_SOON = 0.05  # seconds between two looks while one begins
_STARTS = 5  # how often one is started that never comes to serve
_BEGIN_SECONDS = 60
_SILENT_SECONDS = 20.0  # until a process that was started has its lock


@dataclass(frozen=True)
class Place:
    """Where exports are kept, and how their processes find the settings."""

    host: str
    directory: Path
    settings: Sequence[str] = ()

    def process(self, id: str) -> ExportProcess:
        """The process of one export."""
        return ExportProcess(self.directory / id)


def place_from(conf: cfg.ConfigOpts) -> Place:
    """Below the state directory, with the settings that this process has read."""
    files = [part for name in conf.config_file or () for part in ("--config-file", name)]
    dirs = [part for name in _listed(conf.config_dir) for part in ("--config-dir", str(name))]
    return Place(conf.host, Path(conf.state_path) / "exports", (*files, *dirs))


def _listed(value: Any) -> Iterable[str]:
    return () if not value else (value,) if isinstance(value, str) else value


def arguments_of(export: Export) -> list[str]:
    """What its process is told on the command line: names, no secrets."""
    given = ["--provider", export.provider_id, "--project", export.project_id, "--checkpoint", export.checkpoint_id]
    given += ["--until", str(export.expires_at.timestamp())]
    given += [f"--resource={export.resource}"] if export.resource is not None else []
    given += [f"--stream={export.stream}"] if export.stream is not None else []
    return given


class Exports:
    """Keeps the exports of one host. ``look`` is called by one thread at a time; ``wake`` by any."""

    def __init__(
        self, database: Database, place: Place, provider_ids: Iterable[str], clock: Clock, *, poll: float
    ) -> None:
        self._database = database
        self._place = place
        self._provider_ids = list(provider_ids)
        self._clock = clock
        self._poll = poll
        self._begun: dict[str, float] = {}  # by the monotonic clock
        self._starts: dict[str, int] = {}
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="exports", daemon=True)

    def start(self) -> None:
        """Begin to look, every ``poll`` seconds and when woken."""
        self._thread.start()

    def wake(self) -> None:
        """There may be something to begin or to end."""
        self._wake.set()

    def stop(self) -> None:
        """Look no more. The processes go on."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(30)

    def _loop(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            beginning = False
            try:
                beginning = self.look()
            except (SQLAlchemyError, OSError) as fault:
                LOG.error("cannot look after exports cause=%s", fault)
            self._wake.wait(_SOON if beginning else self._poll)

    def look(self) -> bool:
        """One look at everything: True where one is just beginning, and another look should follow soon."""
        with self._database.read() as rows:
            known = rows.exports.on(self._place.host)
        with self._database.write() as rows:
            rows.exports.end_overdue(reason="Its time was over.")
            while (taken := rows.exports.take(host=self._place.host, provider_ids=self._provider_ids)) is not None:
                known = [*known, taken]
        beginning = [self._attend(export) for export in known]
        self._sweep({export.id for export in known})
        return any(beginning)

    def _attend(self, export: Export) -> bool:
        """See to one; True while it begins."""
        process = self._place.process(export.id)
        if export.status == "closing" or export.expires_at <= self._clock.now():
            self._end(export, process, "closed", "" if export.status == "closing" else "Its time was over.")
            return False
        alive, answer = process.is_alive(), process.answer()
        if alive and answer is not None:
            if export.status == "starting" and "streams" in answer:
                self._move(export, "active", streams=answer["streams"])
            self._starts.pop(export.id, None)
            return False
        just_begun = self._clock.monotonic() < self._begun.get(export.id, -_SILENT_SECONDS) + _SILENT_SECONDS
        if alive or (answer is None and just_begun):
            late = export.updated_at is not None and export.updated_at + timedelta(seconds=_BEGIN_SECONDS)
            if export.status == "starting" and late and late < self._clock.now():
                self._end(export, process, "error", "Its process did not begin to serve in time.")
            return export.status == "starting"
        return self._begin(export, process)

    def _begin(self, export: Export, process: ExportProcess) -> bool:
        """No process runs: start one, unless the last ones said that it is of no use."""
        answer, tried = process.answer() or {}, self._starts.get(export.id, 0)
        final = "error" in answer and not answer["again"]
        if final or tried >= _STARTS:
            said = answer.get("error") or "Its process does not stay."
            self._end(export, process, "error", said)
            return False
        self._starts[export.id], self._begun[export.id] = tried + 1, self._clock.monotonic()
        try:
            process.start([*self._place.settings, *arguments_of(export)])
        except OSError as fault:
            LOG.error("export not started export=%s cause=%s", export.id, fault)
            return False
        LOG.info("export started export=%s checkpoint=%s try=%s", export.id, export.checkpoint_id, tried + 1)
        return True

    def _end(self, export: Export, process: ExportProcess, status: str, reason: str) -> None:
        process.stop(self._clock)
        if self._move(export, status, reason=reason or None, finished_at=self._clock.now()):
            process.remove()
        for kept in (self._starts, self._begun):
            kept.pop(export.id, None)

    def _move(self, export: Export, status: str, **changes: Any) -> bool:
        """Whether the row could be moved: somebody may have asked for its end meanwhile, which the next look sees."""
        try:
            self._database.retrying(lambda rows: rows.exports.transition(export.id, status, **changes))
        except (errors.Conflict, errors.NotFound) as fault:
            LOG.info("export changed meanwhile export=%s %s", export.id, fault.operator_text())
            return False
        LOG.info("export is %s export=%s checkpoint=%s", status, export.id, export.checkpoint_id)
        return True

    def _sweep(self, known: set[str]) -> None:
        """End processes whose rows have ended without us, and remove what is left of them."""
        for directory in sorted(self._place.directory.glob("*")):
            if directory.name in known:
                continue
            with self._database.read() as rows:
                try:
                    if rows.exports.get(directory.name).finished_at is None:
                        continue
                except errors.NotFound:
                    LOG.info("export without a row removed directory=%s", directory)
            process = ExportProcess(directory)
            process.stop(self._clock)
            process.remove()
