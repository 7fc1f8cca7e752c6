# SPDX-License-Identifier: Apache-2.0
"""How does an operator read a checkpoint without restoring it? ``karbor-manage checkpoint serve``."""

import argparse
import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from karbor.app import roles, wiring
from karbor.common import stopping
from karbor.protection import export
from karbor.protection.keywatch import KeyWatch

_MIB = 1 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What ``checkpoint serve`` takes."""
    parser.add_argument("--checkpoint", required=True, help="id of the checkpoint")
    parser.add_argument("--resource", metavar="KEY", help="only this resource, such as OS::Libvirt::Disk#ID")
    parser.add_argument("--stream", metavar="NAME", help="only the streams of this name")
    parser.add_argument(
        "--socket", type=Path, metavar="PATH", help="where to listen; made private; a new place if left out"
    )
    parser.add_argument("--port", type=int, help="listen on 127.0.0.1 instead, open to every user of this host; 0: any")
    parser.add_argument("--timeout", type=float, help="seconds after which it ends; without it, it ends when told to")
    parser.add_argument("--cache", type=int, default=64, metavar="MIB", help="memory for what was read (default 64)")


def serve(application: wiring.Application, given: argparse.Namespace) -> Any:
    """Serve until SIGTERM, SIGINT or the timeout. What is served is printed as soon as it is."""
    with stopping.told_to_end() as wait:
        return {"ended": "as told" if _serve(application, given, wait) else "after its time"}


def _serve(application: wiring.Application, given: argparse.Namespace, wait: Callable[[float | None], bool]) -> bool:
    environment = roles.make_environment(application.shared)
    providers = roles.make_providers(application.shared, environment)
    domain, record = export.find(application.shared.database, providers, given.checkpoint)
    wanted = {"resource": given.resource, "stream": given.stream, "cache": given.cache * _MIB}
    with _place(given) as listen, export.serve(domain, record, listen, **wanted) as served:
        for entry in served:
            _show(entry.to_dict(), as_json=given.json)
        with KeyWatch(providers, interval=application.shared.conf.vault.key_check_interval):
            return wait(given.timeout)


@contextlib.contextmanager
def _place(given: argparse.Namespace) -> Iterator[Path | int]:
    if given.port is not None:
        yield given.port
    elif given.socket is not None:
        yield given.socket.absolute()
    else:
        with tempfile.TemporaryDirectory(prefix="karbor-export-") as directory:
            yield Path(directory) / "nbd.sock"


def _show(entry: dict[str, Any], *, as_json: bool) -> None:
    lines = [json.dumps(entry)] if as_json else [f"{name}: {value}" for name, value in entry.items()]
    print("\n".join(lines), flush=True)  # noqa: T201
