# SPDX-License-Identifier: Apache-2.0
"""Which part of a checkpoint does a restore bring back?"""

from collections.abc import Mapping
from typing import Any

from karbor.model import errors
from karbor.model.graph import ResourceGraph
from karbor.model.plan import options_for
from karbor.sdk.options import Options, option

#: Where the options stand among the parameters of a restore, in the place of a resource type.
SCOPE_TYPE = "OS::Karbor::Restore"


class ScopeOptions(Options):
    """Options of the type ``OS::Karbor::Restore`` in the parameters of a restore."""

    only: str = option(
        "",
        "Ids of resources of the checkpoint, separated by commas: only they are restored, with all that belongs to "
        "them. Empty: everything.",
    )


def scoped(graph: ResourceGraph, parameters: Mapping[str, Mapping[str, Any]]) -> ResourceGraph:
    """The part of a checkpoint's graph that the parameters of a restore ask for.

    Raises InvalidInput where they name a resource that the checkpoint does not have.
    """
    wanted = [one.strip() for one in ScopeOptions.parse(options_for(parameters, SCOPE_TYPE, "")).only.split(",")]
    wanted = [one for one in wanted if one]
    if not wanted:
        return graph
    chosen = [node.key for node in graph if node.key.id in wanted]
    unknown = sorted(set(wanted) - {key.id for key in chosen})
    if unknown:
        raise errors.InvalidInput(
            f"The checkpoint has no resource {', '.join(unknown[:5])}.",
            next_action="name resources of the checkpoint in only; its resource_graph has their ids",
        )
    return graph.below(chosen)
