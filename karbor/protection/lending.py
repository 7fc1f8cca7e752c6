# SPDX-License-Identifier: Apache-2.0
"""How are streams of a checkpoint lent to guests: by which process, where, and how is it found again?

The process is that of an export (karbor.protection.exportprocess), but it belongs to a job, or to a command of the
operator, and not to a row: whoever began it looks after it, and ends it.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from oslo_config import cfg

from karbor.common.clock import Clock
from karbor.common.waiting import wait_for
from karbor.model import errors
from karbor.model.export import Export
from karbor.model.resource import ResourceKey
from karbor.protection.exportprocess import ExportProcess
from karbor.protection.exports import arguments_of, place_from
from karbor.sdk.lending import Lent

LOG = logging.getLogger(__name__)
_LASTS = timedelta(days=30)  # whoever needs it longer has it begun anew
_SERVE_SECONDS = 120.0


@dataclass(frozen=True)
class Loan:
    """What is lent: the streams of that name of these resources."""

    project_id: str
    provider_id: str
    checkpoint_id: str
    resources: Sequence[ResourceKey]
    stream: str

    def names(self) -> dict[ResourceKey, str]:
        """As karbor.protection.export calls them: one that serves several streams names them all."""
        alone = len(self.resources) == 1
        return {key: "" if alone else f"{key.text}/{self.stream}" for key in self.resources}


class LentStreams(Lent):
    """What lies in ``directory``, whether it serves or not. Nothing is kept here."""

    def __init__(
        self,
        directory: Path,
        loan: Loan,
        settings: Sequence[str],
        *,
        clock: Clock,
        check: Callable[[], None],
        seconds: float = _SERVE_SECONDS,
    ) -> None:
        self._process = ExportProcess(directory)
        self._loan, self._settings = loan, settings
        self._clock, self._check, self._seconds = clock, check, seconds
        self.socket = str(self._process.socket)
        self.names: Mapping[ResourceKey, str] = loan.names()

    def keep_up(self) -> None:
        answer = self._process.answer()
        if answer and "streams" in answer and self._process.is_alive():
            return
        self._open_up()
        self._process.start([*self._settings, *self._arguments()])
        answer = wait_for(
            self._process.answer, clock=self._clock, seconds=self._seconds, check=self._check, first=0.05, longest=0.5
        )
        if answer is None:
            raise errors.Unavailable("What lends the checkpoint does not begin to serve.")
        if "error" in answer:
            raise (errors.Unavailable if answer["again"] else errors.StepFailed)(str(answer["error"]))

    def end(self) -> None:
        self._process.stop(self._clock)
        self._process.remove()

    def _open_up(self) -> None:
        """QEMU, which runs as another user, passes through to its socket; it sees nothing else."""
        directory = self._process.directory
        directory.mkdir(parents=True, exist_ok=True)
        for place in (directory.parent, directory):
            place.chmod(0o711)

    def _arguments(self) -> list[str]:
        loan = self._loan
        wish = Export(
            id=self._process.directory.name,
            project_id=loan.project_id,
            provider_id=loan.provider_id,
            checkpoint_id=loan.checkpoint_id,
            expires_at=self._clock.now() + _LASTS,
            resource=loan.resources[0].text if len(loan.resources) == 1 else None,
            stream=loan.stream,
        )
        return arguments_of(wish)


class Lender:
    """Lends streams on ``host``, below ``home``. A process that lends finds bank and keys by ``settings``."""

    def __init__(self, host: str, home: Path, settings: Sequence[str], clock: Clock) -> None:
        self.host = host
        self._home, self._settings, self._clock = home, settings, clock

    def lend(self, job_id: str, owner: ResourceKey, loan: Loan, check: Callable[[], None]) -> LentStreams:
        """What a job lends for one resource; the same whenever it is asked for. Nothing is begun yet."""
        digest = hashlib.sha256(owner.text.encode()).hexdigest()[:8]
        return LentStreams(self._home / f"{job_id}-{digest}", loan, self._settings, clock=self._clock, check=check)

    def sweep(self, is_live: Callable[[str], bool]) -> None:
        """End what is still lent for jobs that have ended: whoever should have done so died before."""
        for directory in sorted(self._home.glob("*")):
            if not is_live(directory.name.rpartition("-")[0]):
                process = ExportProcess(directory)
                process.stop(self._clock)
                process.remove()
                LOG.info("lent for a job that has ended, removed directory=%s", directory)


def lender_from(conf: cfg.ConfigOpts, clock: Clock) -> Lender:
    """Below the state directory, with the settings that this process has read."""
    return Lender(conf.host, Path(conf.state_path) / "lent", place_from(conf).settings, clock)
