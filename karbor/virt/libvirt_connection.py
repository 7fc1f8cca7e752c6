# SPDX-License-Identifier: Apache-2.0
"""How does a process talk to libvirt: one event loop, one connection, errors as ours?

libvirt needs a running event loop before a connection is opened; it serves the whole process. A connection that broke
(the daemon was restarted) is opened again by the next call.
"""

import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import libvirt

from karbor.model import errors

LOG = logging.getLogger(__name__)

KEEPALIVE_SECONDS, KEEPALIVE_COUNT = 5, 5
_ATTEMPTS, _PAUSE_SECONDS = 20, 0.5
_NO_DOMAIN = (libvirt.VIR_ERR_NO_DOMAIN,)
_GONE = (
    libvirt.VIR_ERR_NO_CONNECT,
    libvirt.VIR_ERR_INVALID_CONN,
    libvirt.VIR_ERR_RPC,
    libvirt.VIR_ERR_AUTH_FAILED,
    libvirt.VIR_ERR_AUTH_CANCELLED,
    libvirt.VIR_ERR_AUTH_UNAVAILABLE,
)
_DAC_LABEL = re.compile(r"<baselabel type='(?:qemu|kvm)'>\+(?P<user>\d+):\+(?P<group>\d+)</baselabel>")
_loop_guard = threading.Lock()
_loop: threading.Thread | None = None


def ensure_event_loop() -> None:
    """Start libvirt's event loop once for this process, and keep libvirt from printing errors itself."""
    global _loop  # noqa: PLW0603 - libvirt's loop is one per process
    with _loop_guard:
        if _loop is not None:
            return
        libvirt.virEventRegisterDefaultImpl()
        libvirt.registerErrorHandler(lambda *_: None, None)

        def turn() -> None:
            while True:
                libvirt.virEventRunDefaultImpl()

        _loop = threading.Thread(target=turn, name="libvirt-events", daemon=True)
        _loop.start()


def has_code(fault: libvirt.libvirtError, *codes: int) -> bool:
    """Whether libvirt says one of these error codes."""
    return fault.get_error_code() in codes


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn libvirt's errors into ours. ``what`` says what was tried, for the operator.

    Raises ResourceNotFound, HypervisorUnavailable or StepFailed.
    """
    try:
        yield
    except libvirt.libvirtError as fault:
        detail = f"{what}: {fault.get_error_message()} (libvirt error {fault.get_error_code()})"
        # A connection that breaks in mid-call is an "internal error" of the RPC layer.
        broken = fault.get_error_domain() in (libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE)
        if has_code(fault, *_NO_DOMAIN):
            raise errors.ResourceNotFound("The domain does not exist.", detail=detail) from fault
        if broken or has_code(fault, *_GONE):
            raise errors.HypervisorUnavailable(detail=detail, next_action="check that libvirt runs") from fault
        if "Permission denied" in fault.get_error_message():
            raise errors.StepFailed(
                "QEMU may not use the files or the socket of this backup.",
                detail=detail,
                next_action="let QEMU write to the scratch directory; where AppArmor or SELinux confines it, allow it "
                "there too (see the page on one KVM host)",
            ) from fault
        raise errors.StepFailed("libvirt refused a step.", detail=detail) from fault


#: Called as (domain id, reason) when a guest was paused because a write failed.
IoErrorHook = Callable[[str, str], None]


class Connection:
    """One shared connection. ``get`` gives it to anybody; safe from several threads.

    A daemon that is restarted is away for a moment; what has been reached once is waited for.
    """

    def __init__(self, uri: str, *, on_io_error: IoErrorHook | None = None) -> None:
        self.uri = uri
        self._on_io_error = on_io_error
        self._guard = threading.Lock()
        self._pause = threading.Event()
        self._open: libvirt.virConnect | None = None
        self._user: list[tuple[int, int] | None] | None = None  # one entry, once it is known

    def get(self) -> libvirt.virConnect:
        """The open connection. Raises HypervisorUnavailable where libvirt cannot be reached."""
        with self._guard:
            if self._open is not None and self._open.isAlive():
                return self._open
            ensure_event_loop()
            for attempt in range(_ATTEMPTS if self._open is not None else 1):
                if attempt:
                    self._pause.wait(_PAUSE_SECONDS)
                try:
                    opened = libvirt.open(self.uri)
                except libvirt.libvirtError as fault:
                    last = fault
                    continue
                self._prepare(opened)
                self._open = opened
                return opened
            self._open = None
            raise errors.HypervisorUnavailable(
                f"The hypervisor at {self.uri} cannot be reached.",
                detail=last.get_error_message(),
                next_action="check that libvirt runs and that this user may use it",
            ) from last

    def domain(self, domain_id: str) -> libvirt.virDomain:
        """The domain with that UUID. Raises ResourceNotFound."""
        with translated(f"look up domain {domain_id}"):
            try:
                return self.get().lookupByUUIDString(domain_id)
            except libvirt.libvirtError as fault:
                if has_code(fault, libvirt.VIR_ERR_INVALID_ARG):
                    raise errors.ResourceNotFound("The domain does not exist.", detail=repr(domain_id[:80])) from fault
                raise

    def qemu_user(self) -> tuple[int, int] | None:
        """(user id, group id) that QEMU runs as; None where libvirt does not change users.

        Asked once: libvirt may start every QEMU of the host to answer, and only a restart of it changes the user.
        """
        if self._user is None:
            with translated("read the capabilities of the host"):
                found = _DAC_LABEL.search(self.get().getCapabilities())
            self._user = [(int(found["user"]), int(found["group"])) if found else None]
        return self._user[0]

    def _prepare(self, opened: libvirt.virConnect) -> None:
        try:
            opened.setKeepAlive(KEEPALIVE_SECONDS, KEEPALIVE_COUNT)
        except libvirt.libvirtError:
            LOG.debug("the driver knows no keepalive uri=%s", self.uri)
        if self._on_io_error is not None:
            hook = self._on_io_error
            opened.domainEventRegisterAny(
                None,
                libvirt.VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON,
                lambda _conn, domain, _path, _alias, _action, reason, _opaque: hook(domain.UUIDString(), reason),
                None,
            )
