# SPDX-License-Identifier: Apache-2.0
"""How does an operator run a guest from a checkpoint at once? ``karbor-manage checkpoint boot``.

What was begun is kept in a directory of its own below the state directory. The same command, given again, goes on with
it: after a kill, a reboot, or an export that died.
"""

import argparse
import contextlib
import json
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from karbor.app import roles, wiring
from karbor.common import durable
from karbor.model import errors
from karbor.model.checkpoint import CheckpointRecord
from karbor.model.graph import ResourceGraph
from karbor.model.resource import ResourceKey
from karbor.protection import export
from karbor.protection.exports import place_from
from karbor.protection.lending import LentStreams, Loan
from karbor.sdk.hypervisor import NewDomain, Pull
from karbor.virt.instant import InstantGuest, admit
from karbor.virt.libvirt_connection import Connection
from karbor.virt.libvirt_define import Definer

_DOMAIN, _DISK, _STREAM = "Libvirt::Domain", "Libvirt::Disk", "disk"
_STATE = "boot.json"
_BETWEEN = 1.0


@dataclass(frozen=True)
class Boot:
    """What was decided. ``disks`` maps the disk's target to the resource whose stream it is."""

    uuid: str
    name: str
    checkpoint: str
    project: str
    provider: str
    directory: str
    definition: str
    disks: Mapping[str, str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What ``checkpoint boot`` takes."""
    parser.add_argument("--checkpoint", required=True, help="id of the checkpoint")
    parser.add_argument("--domain", metavar="ID", help="id of the saved domain; if the checkpoint has several")
    parser.add_argument("--name", required=True, help="name of the new guest")
    parser.add_argument("--directory", type=Path, required=True, help="where its disks are made, and stay")
    parser.add_argument(
        "--bandwidth", type=int, default=0, metavar="MIB", help="bound of the copy in a second, for each disk; 0: none"
    )
    parser.add_argument("--uri", help="libvirt connection; that of the settings where it is left out")


def boot(application: wiring.Application, given: argparse.Namespace) -> Any:
    """Start the guest, copy its disks while it runs, end when it needs the export no more."""
    shared = application.shared
    environment = roles.make_environment(shared)
    connection = Connection(given.uri or _uri_of(shared.conf))
    home = Path(shared.conf.state_path) / "boots"
    with contextlib.closing(roles.make_providers(shared, environment)) as providers:
        found = _begun(home, given) or _decide(home, given, *export.find(shared.database, providers, given.checkpoint))
    keys = {target: ResourceKey.parse(text) for target, text in found.disks.items()}
    loan = Loan(found.project, found.provider, found.checkpoint, list(keys.values()), _STREAM)
    settings = place_from(shared.conf).settings
    lent = LentStreams(home / found.uuid, loan, settings, clock=shared.clock, check=lambda: None)
    directory = Path(found.directory)
    directory.mkdir(parents=True, exist_ok=True)
    paths = {target: str(directory / f"{found.uuid}-{target}.qcow2") for target in keys}
    guest = InstantGuest(connection, found.uuid, paths)
    begun = shared.clock.monotonic()
    _serve(lent, connection)
    new = NewDomain(_as_qcow2(paths), name=found.name, uuid=found.uuid, new_macs=True, start=True)
    definer = Definer(connection, Path(shared.conf.state_path) / "replaced-domains")
    guest.begin(found.definition, new, definer, lent.socket, {target: lent.names[key] for target, key in keys.items()})
    _say(
        given, {"domain": found.uuid, "name": found.name, "running after": f"{shared.clock.monotonic() - begun:.1f} s"}
    )
    _watch(given, lent, connection, guest)
    lent.end()
    return {"domain": found.uuid, "name": found.name, "independent after": f"{shared.clock.monotonic() - begun:.1f} s"}


def _as_qcow2(paths: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    return {target: (path, "qcow2") for target, path in paths.items()}


def _watch(given: argparse.Namespace, lent: LentStreams, connection: Connection, guest: InstantGuest) -> None:
    """Until no disk needs the export: it is begun anew where it died, and what stands still is set going."""
    pause = threading.Event()
    while True:
        _serve(lent, connection)
        pulls = guest.advance(given.bandwidth)
        _say(given, _progress(pulls))
        if all(pull.independent for pull in pulls):
            return
        pause.wait(_BETWEEN)


def _serve(lent: LentStreams, connection: Connection) -> None:
    """See that the export runs and that QEMU may use it. Raises what it says where it cannot."""
    lent.keep_up()
    admit(connection, lent.socket)


def _uri_of(conf: Any) -> str:
    if "libvirt" not in conf.enabled_hypervisors:
        raise errors.InvalidInput("Say with --uri where libvirt is.")
    return str(conf.libvirt.uri)


def _begun(home: Path, given: argparse.Namespace) -> Boot | None:
    """What an earlier call of the same command decided."""
    for path in sorted(home.glob(f"*/{_STATE}")):
        found = Boot(**json.loads(path.read_text()))
        if (found.checkpoint, found.name) == (given.checkpoint, given.name):
            return found
    return None


def _decide(home: Path, given: argparse.Namespace, _domain: Any, record: CheckpointRecord) -> Boot:
    graph = ResourceGraph.from_dict(record.graph)
    domains = [node for node in graph if node.key.type == _DOMAIN and given.domain in (None, node.key.id)]
    if len(domains) != 1:
        there = ", ".join(f"{node.key.id} ({node.resource.name})" for node in graph if node.key.type == _DOMAIN)
        raise errors.InvalidInput("Say with --domain which guest.", detail=f"the checkpoint has: {there or 'none'}")
    saved = record.resource(domains[0].key.text)
    if saved is None:
        raise errors.IntegrityError("The checkpoint holds nothing of this domain.")
    disks = _disks(graph, domains[0].children, record)
    made = Boot(
        uuid=str(uuid.uuid4()),
        name=given.name,
        checkpoint=given.checkpoint,
        project=record.project_id,
        provider=record.provider_id,
        directory=str(given.directory.absolute()),
        definition=str(saved.saved["definition"]),
        disks=disks,
    )
    place = home / made.uuid
    place.mkdir(parents=True)
    durable.write_file(place / _STATE, json.dumps(asdict(made)).encode())
    return made


def _disks(graph: ResourceGraph, children: Sequence[ResourceKey], record: CheckpointRecord) -> dict[str, str]:
    found = {}
    for key in children:
        saved = record.resource(key.text)
        if key.type == _DISK and saved is not None and _STREAM in saved.streams:
            found[str(graph[key].resource.extra_info["target"])] = key.text
    if not found:
        raise errors.InvalidInput("The checkpoint has no disk of this guest.")
    return found


def _progress(pulls: Sequence[Pull]) -> dict[str, str]:
    return {pull.target: "done" if pull.independent else f"{100 * pull.done // pull.total} %" for pull in pulls}


def _say(given: argparse.Namespace, told: Mapping[str, str]) -> None:
    line = json.dumps(told) if given.json else "  ".join(f"{name}: {value}" for name, value in told.items())
    print(line, flush=True)  # noqa: T201
