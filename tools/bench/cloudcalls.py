# SPDX-License-Identifier: Apache-2.0
"""How many questions do listings and protects ask of a cloud, as a function of the number of servers and volumes?

    tools/bench/cloudcalls.py [--servers 1 10 100 1000] [--volumes 1] [--json FILE]

On the cloud in memory, which answers at once: so a wait costs one or two looks, where a real cloud costs more.
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from karbor.plugins.resources.volume_backup import VolumeBackupProtection
from karbor.plugins.resources.volume_data import VolumeDataProtection
from karbor.plugins.resources.volume_snapshot import VolumeSnapshotProtection
from tests.support.cloudjobs import PROJECT, SERVER, VOLUME, CloudJob

PLUGINS = {
    "snapshot": VolumeSnapshotProtection,
    "backup": VolumeBackupProtection,
    "data": VolumeDataProtection,
}
LISTINGS = {"list servers": SERVER, "list volumes": VOLUME, "list the project": PROJECT}


def measure(servers: int, volumes: int) -> dict[str, Counter]:
    """The questions of each operation by service, method and path."""
    found = {}
    for name, plugin in PLUGINS.items():
        job = CloudJob(servers, volumes, plugin)
        if name == "snapshot":
            for listing, type_ in LISTINGS.items():
                found[listing], _number = job.counted(lambda type_=type_, job=job: job.listing(type_))
        found["choose and graph"], graph = job.counted(job.graph)
        found[f"protect: {name}"], _none = job.counted(lambda job=job, graph=graph: job.protect(graph))
    return found


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--volumes", type=int, default=1, help="volumes of each server")
    parser.add_argument("--json", help="file for every count")
    given = parser.parse_args()
    columns = {number: measure(number, given.volumes) for number in given.servers}
    print(f"{'requests for servers':<24}" + "".join(f"{number:>10}" for number in columns) + f"{'each more':>12}")
    for name in next(iter(columns.values())):
        totals = {number: sum(column[name].values()) for number, column in columns.items()}
        (few, least), (many, most) = min(totals.items()), max(totals.items())
        more = f"{(most - least) / (many - few):.2f}" if many > few else ""
        print(f"{name:<24}" + "".join(f"{total:>10}" for total in totals.values()) + f"{more:>12}")
    if given.json:
        told = {
            number: {name: {" ".join(key): amount for key, amount in calls.items()} for name, calls in column.items()}
            for number, column in columns.items()
        }
        Path(given.json).write_text(json.dumps(told, indent=1, sort_keys=True), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
