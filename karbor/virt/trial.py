# SPDX-License-Identifier: Apache-2.0
"""Does a guest come up from what a checkpoint holds? It is booted apart from everything, watched, and thrown away.

Its disks are overlays on what is lent, so nothing is copied, and what it writes goes with it. libvirt ends it when this
process dies (auto-destroy); what that leaves of files is removed by the next call of ``remove`` for the same trial.
"""

import logging
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import libvirt
import libvirt_qemu

from karbor.common.clock import Clock
from karbor.model import errors
from karbor.sdk.hypervisor import Trial, TrialResult
from karbor.virt import libvirt_nvram, libvirt_xml
from karbor.virt.instant import is_paused_by_errors, make_overlay
from karbor.virt.libvirt_connection import Connection, translated
from karbor.virt.libvirt_guard import free_bytes
from karbor.virt.trial_xml import Bounds, trial_xml

LOG = logging.getLogger(__name__)
_BETWEEN = 0.5
_ASK_SECONDS = 2
_PIECE = 16 << 10
_KEPT = 64 << 10  # of what the guest says on its console
_TOLD = 2000


class Trials:
    """Boots guests below ``home``, ``most`` at a time. ``scratch`` bounds the bytes that one may write, ``reserve`` is
    what must stay free of the file system."""

    def __init__(
        self, connection: Connection, home: Path, bounds: Bounds, *, most: int, scratch: int, reserve: int
    ) -> None:
        self._connection, self._home, self._bounds = connection, home, bounds
        self._scratch, self._reserve = scratch, reserve
        self._turn = threading.Semaphore(most)
        self._clock = Clock()

    def run(self, trial: Trial, check: Callable[[], None]) -> TrialResult:
        """See sdk.hypervisor.Hypervisor.try_boot."""
        while not self._turn.acquire(timeout=_BETWEEN):
            check()
        ours = True
        try:
            self.remove(trial.uuid)
            return self._watch(trial, check, self._started(trial, check))
        except errors.LeaseLost:
            ours = False  # whoever has the job now runs the same trial
            raise
        finally:
            self._turn.release()
            if ours:
                self.remove(trial.uuid)

    def remove(self, uuid: str) -> None:
        """End a trial and remove what is left of it. No error where nothing is."""
        try:
            with translated(f"end trial {uuid}"):
                self._connection.domain(uuid).destroy()
        except (errors.ResourceNotFound, errors.StepFailed):
            LOG.debug("no trial to end domain=%s", uuid)
        shutil.rmtree(self._home / uuid, ignore_errors=True)

    def _started(self, trial: Trial, check: Callable[[], None]) -> "tuple[libvirt.virDomain, _Console]":
        """The guest, which stands still until somebody listens to its console."""
        place = self._home / trial.uuid
        place.mkdir(parents=True, exist_ok=True)
        for directory in (self._home, place):
            directory.chmod(0o711)
        disks = {target: str(place / f"{target}.qcow2") for target in trial.exports}
        check()
        for target, path in disks.items():
            make_overlay(path, trial.socket, trial.exports[target])
        name = f"karbor-trial-{trial.uuid}"
        root, variables = trial_xml(trial.definition, name=name, uuid=trial.uuid, disks=disks, bounds=self._bounds)
        if variables is not None:
            libvirt_nvram.place(root, variables, place, name=name)
        with translated(f"boot domain {trial.uuid}"):
            open_ = self._connection.get()
            flags = libvirt.VIR_DOMAIN_START_PAUSED | libvirt.VIR_DOMAIN_START_AUTODESTROY
            domain = open_.createXML(libvirt_xml.text_of(root), flags)
            console = _Console(open_, domain)
            domain.resume()
        return domain, console

    def _watch(
        self, trial: Trial, check: Callable[[], None], started: "tuple[libvirt.virDomain, _Console]"
    ) -> TrialResult:
        domain, console = started
        begun, pause = self._clock.monotonic(), threading.Event()
        try:
            while True:
                check()
                console.listen()
                seconds = self._clock.monotonic() - begun
                sign = self._sign(trial, domain, console)
                if sign:
                    return TrialResult(sign, seconds, console.tail(_TOLD))
                why = self._hopeless(trial, domain, seconds)
                if why:
                    return TrialResult("", seconds, console.tail(_TOLD), why)
                pause.wait(_BETWEEN)
        finally:
            console.close()

    @staticmethod
    def _sign(trial: Trial, domain: libvirt.virDomain, console: "_Console") -> str:
        if trial.text and console.has(trial.text):
            return "console"
        return "agent" if trial.agent and _answers(domain) else ""

    def _hopeless(self, trial: Trial, domain: libvirt.virDomain, seconds: float) -> str:
        """Why it is of no use to wait longer; and a guest that paused because what is lent was away, goes on."""
        if seconds >= trial.seconds:
            return f"It gave no sign of life within {trial.seconds} seconds."
        try:
            if not domain.isActive():
                return "It ended by itself."
            if is_paused_by_errors(domain):
                domain.resume()
        except libvirt.libvirtError as fault:
            LOG.info("trial ended domain=%s cause=%s", trial.uuid, fault)
            return "It ended by itself."
        place = self._home / trial.uuid
        if sum(path.stat().st_blocks * 512 for path in place.iterdir()) > self._scratch:
            return f"It wrote more than {self._scratch >> 20} MiB to its disks."
        if free_bytes(place) < self._reserve:
            return "The host has no room left for what it writes."
        return ""


class _Console:
    """What the guest says on its first serial port; the newest part of it."""

    def __init__(self, connection: libvirt.virConnect, domain: libvirt.virDomain) -> None:
        self._stream: libvirt.virStream | None = connection.newStream(libvirt.VIR_STREAM_NONBLOCK)
        domain.openConsole(None, self._stream, libvirt.VIR_DOMAIN_CONSOLE_FORCE)
        self._said = b""

    def listen(self) -> None:
        """Take what is there."""
        while self._stream is not None:
            try:
                found = self._stream.recv(_PIECE)
            except libvirt.libvirtError:  # the guest is gone
                self._stream = None
                return
            if found == -2 or not found:
                return
            self._said = (self._said + found)[-_KEPT:]

    def has(self, text: str) -> bool:
        return text.encode() in self._said

    def tail(self, length: int) -> str:
        """The end of it, as plain lines."""
        text = self._said[-length:].decode(errors="replace").replace("\r", "")
        return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)

    def close(self) -> None:
        """Listen no more. May be called when the guest is gone."""
        if self._stream is not None:
            try:
                self._stream.abort()
            except libvirt.libvirtError as fault:
                LOG.debug("console not closed cause=%s", fault)
            self._stream = None


def _answers(domain: libvirt.virDomain) -> bool:
    """Whether the agent in the guest does."""
    try:
        libvirt_qemu.qemuAgentCommand(domain, '{"execute": "guest-ping"}', _ASK_SECONDS, 0)
    except libvirt.libvirtError:
        return False
    return True
