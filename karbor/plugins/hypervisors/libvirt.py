# SPDX-License-Identifier: Apache-2.0
"""How are guests of libvirt and QEMU captured and restored? The driver; the mechanics are in karbor.virt."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from karbor.common.clock import Clock
from karbor.sdk.hypervisor import (
    Capture,
    CaptureRequest,
    DomainInfo,
    FreezeResult,
    Hypervisor,
    NewDomain,
    Pull,
    Trial,
    TrialResult,
)
from karbor.sdk.options import Options, option
from karbor.sdk.streams import Advance, Source, StreamReader
from karbor.virt import instant, libvirt_inspect, libvirt_recovery
from karbor.virt.diskoverwriter import overwrite_image
from karbor.virt.diskwriter import remove_image, write_image
from karbor.virt.instant import InstantGuest
from karbor.virt.libvirt_capture import Captures
from karbor.virt.libvirt_connection import Connection
from karbor.virt.libvirt_define import Definer
from karbor.virt.libvirt_hold import Holds
from karbor.virt.libvirt_method import Host
from karbor.virt.libvirt_offline import OfflineMethod
from karbor.virt.libvirt_place import Places
from karbor.virt.libvirt_pull import PullMethod
from karbor.virt.libvirt_snapshot import SnapshotMethod
from karbor.virt.trial import Trials
from karbor.virt.trial_xml import Bounds


class LibvirtHypervisor(Hypervisor):
    """Guests of libvirt and QEMU: dirty bitmaps first, external snapshots where images cannot hold them."""

    name = "libvirt"

    class Settings(Options):
        """Where libvirt is, and how much a backup may ask of guests and host."""

        uri: str = option("qemu:///system", "Connection URI of libvirt.")
        scratch_dir: str = option(
            "", "Directory for blocks that guests change during a backup; empty: scratch in the state directory. "
            "The user that runs QEMU must be able to write to it."
        )  # fmt: skip
        freeze_seconds: int = option(
            10, "How long a guest may stay frozen; then it is thawed whatever happens.", minimum=1, maximum=60, unit="s"
        )
        hold_seconds: int = option(
            30,
            "How long a guest may stay frozen while snapshots of its volumes are taken in the cloud; then it is thawed "
            "whatever happens, and the snapshots count as taken of a running guest.",
            minimum=1,
            maximum=300,
            unit="s",
        )
        scratch_reserve_mib: int = option(
            256, "A capture is given up when less room than this is left for scratch.", minimum=16, unit="MiB"
        )
        restore_directories: str = option("", "Directories disks may be restored below, parted by colons; empty: any.")
        default_restore_directory: str = option(
            "/var/lib/libvirt/images", "Where restored disks go when the user names no place."
        )

        trial_memory_mib: int = option(
            2048, "Memory of a guest that is booted to verify a checkpoint, at most.", minimum=64, unit="MiB"
        )
        trial_cpus: int = option(2, "Processors of such a guest, at most.", minimum=1)
        trial_scratch_mib: int = option(
            4096, "Room for what such a guest writes; where it writes more, it has not come up.", minimum=16, unit="MiB"
        )
        trial_guests: int = option(1, "Such guests at a time; others wait.", minimum=1)

    def __init__(self, settings: Options, *, state_dir: str) -> None:
        super().__init__(settings, state_dir=state_dir)
        given = settings.to_dict()
        scratch_dir = Path(given["scratch_dir"] or Path(state_dir) / "scratch").absolute()
        self._connection = Connection(given["uri"], on_io_error=self._io_error)
        reserve = given["scratch_reserve_mib"] << 20
        notes_dir = Path(state_dir).absolute() / "trackers"
        self._host = Host(self._connection, scratch_dir, given["freeze_seconds"], reserve, notes_dir)
        methods = (PullMethod(self._host), SnapshotMethod(self._host), OfflineMethod(self._host, Clock()))
        self._socket_dir = str(Path(state_dir).absolute() / "nbd")  # of our own qemu-nbd only; QEMU need not get there
        self._captures = Captures(self._host, methods)
        self._holds = Holds(self._host, given["hold_seconds"], self._captures.lock, Clock())
        self._definer = Definer(self._connection, Path(state_dir) / "replaced-domains")
        roots = [root for root in given["restore_directories"].split(":") if root]
        self._places = Places(self._connection, roots=roots, default=given["default_restore_directory"])

        self._trials = Trials(
            self._connection,
            Path(state_dir).absolute() / "trials",
            Bounds(given["trial_memory_mib"], given["trial_cpus"]),
            most=given["trial_guests"],
            scratch=given["trial_scratch_mib"] << 20,
            reserve=given["scratch_reserve_mib"] << 20,
        )

    def domains(self) -> Sequence[DomainInfo]:
        return libvirt_inspect.all_domains(self._connection)

    def domain(self, domain_id: str) -> DomainInfo:
        return libvirt_inspect.inspect(self._connection, self._connection.domain(domain_id))

    def begin(self, request: CaptureRequest) -> Capture:
        self._host.prepare_scratch()
        return self._captures.begin(request)

    def source(self, capture: Capture, target: str, *, full: bool = False) -> AbstractContextManager[Source]:
        return self._captures.source(capture, target, full=full)

    def end(self, capture: Capture) -> None:
        self._captures.end(capture)

    def keep(self, domain_id: str, scope: str, token: str) -> None:
        self._captures.keep(domain_id, scope, token)

    def discard(self, domain_id: str, scope: str, token: str) -> None:
        self._captures.discard(domain_id, scope, token)

    def freeze(self, domain_id: str, token: str) -> FreezeResult:
        self._host.prepare_scratch()
        return self._holds.freeze(domain_id, token)

    def thaw(self, domain_id: str, token: str) -> FreezeResult:
        return self._holds.thaw(domain_id, token)

    def recover(self, is_wanted: Callable[[str, str], bool]) -> Sequence[str]:
        self._host.prepare_scratch()
        return [*self._holds.recover(), *libvirt_recovery.recover(self._captures, is_wanted)]

    def target_path(self, *, directory: str | None, pool: str | None, name: str) -> str:
        return self._places.target_path(directory=directory, pool=pool, name=name)

    def write_disk(self, path: str, format: str, reader: StreamReader, advance: Advance) -> None:
        write_image(self._places.check_path(path), format, reader, advance, socket_dir=self._socket_dir)

    def overwrite_disk(self, path: str, format: str, reader: StreamReader, advance: Advance) -> None:
        overwrite_image(path, format, reader, advance, socket_dir=self._socket_dir)

    def remove_disk(self, path: str) -> None:
        remove_image(self._places.check_path(path))

    def define(self, definition: str, new: NewDomain) -> str:
        return self._definer.define(definition, new)

    def start(self, domain_id: str) -> None:
        self._definer.start(domain_id)

    def undefine(self, domain_id: str) -> None:
        self._definer.undefine(domain_id)

    def admit(self, socket: str) -> None:
        instant.admit(self._connection, socket)

    def begin_instant(self, definition: str, new: NewDomain, socket: str, exports: Mapping[str, str]) -> str:
        disks = {target: self._places.check_path(path) for target, (path, _format) in new.disks.items()}
        guest = InstantGuest(self._connection, str(new.uuid), disks)
        guest.begin(definition, new, self._definer, socket, exports)
        return guest.uuid

    def advance_instant(
        self, domain_id: str, disks: Mapping[str, str], *, bandwidth: int, check: Callable[[], None]
    ) -> Sequence[Pull]:
        return InstantGuest(self._connection, domain_id, disks).advance(bandwidth, check)

    def try_boot(self, trial: Trial, check: Callable[[], None]) -> TrialResult:
        return self._trials.run(trial, check)

    def end_trial(self, uuid: str) -> None:
        self._trials.remove(uuid)

    def _io_error(self, domain_id: str, reason: str) -> None:
        self._captures.guard.io_error(domain_id, reason)
