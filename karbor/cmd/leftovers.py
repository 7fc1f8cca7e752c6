# SPDX-License-Identifier: Apache-2.0
"""How does an operator find and remove what jobs left in a cloud?"""

import argparse
from collections.abc import Callable
from typing import Any

from karbor.app import roles, wiring
from karbor.app.clouds import open_named
from karbor.protection import leftovers


def add_verbs(verb: Callable[..., argparse.ArgumentParser]) -> None:
    """The verbs; ``verb`` makes one."""
    text = (
        "Find snapshots, volumes, backups and images in a project of a cloud that jobs left there: after a crash, or "
        "when removing them failed. Logs in as the openstack command does (clouds.yaml, OS_ variables)."
    )
    found = verb("leftovers", leftovers_of, text)
    found.add_argument("--os-cloud", metavar="NAME", help="the entry of clouds.yaml; OS_CLOUD or OS_ variables else")
    found.add_argument(
        "--remove", action="store_true", help="remove what is left over; not what belongs to no known job"
    )


def leftovers_of(application: wiring.Application, given: argparse.Namespace) -> Any:
    """What is left, and what became of it."""
    shared = application.shared
    providers = roles.make_providers(shared, roles.make_environment(shared))
    plugins = [plugin for id_ in providers.ids for plugin in providers.get(id_).protections if plugin.acts_in_cloud]
    cloud = open_named(shared.conf, given.os_cloud)
    found = leftovers.find(shared.database, cloud, plugins)
    counts = {verdict: sum(one.verdict == verdict for one in found) for verdict in (leftovers.LEFT, leftovers.UNKNOWN)}
    entries = {one.made.id: one.to_dict() for one in found}
    if given.remove:
        removed, refused = leftovers.remove(cloud, found)
        counts["being removed"] = removed
        for one, reason in refused:
            entries[one.made.id]["refused"] = reason
    return {"entries": list(entries.values()), "counts": counts}
