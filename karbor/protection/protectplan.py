# SPDX-License-Identifier: Apache-2.0
"""What would a run of a plan do now: what does it lead to, and what does that use of the quotas of the project?

Asked of the same plug-ins that would do it; nothing is changed.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from karbor.model import errors
from karbor.model.selection import Chosen
from karbor.protection import costs
from karbor.protection.advice import advice_on
from karbor.protection.protectables import ProtectableRegistry
from karbor.protection.providers import Provider

if TYPE_CHECKING:
    from karbor.clients.openstack import Cloud


def plan_protect(
    provider: Provider,
    seen: ProtectableRegistry,
    plan: Mapping[str, Any],
    *,
    project_id: str,
    max_passing: int,
    open_cloud: "Callable[[], Cloud] | None" = None,
) -> dict[str, Any]:
    """``{"chosen", "resources", "cost", "conflicts"}``; see ``rpc.interface.Protection.plan_protect``.

    Whatever would make the run fail as things stand, before anything is made, is a conflict. Raises only what may pass:
    Unavailable, HypervisorUnavailable.
    """
    answer: dict[str, Any] = {"chosen": Chosen().to_dict(), "resources": {}, "cost": [], "conflicts": []}
    try:
        chosen = seen.choose(project_id, plan)
        answer["chosen"] = chosen.to_dict()
        graph = seen.graph_below(project_id, chosen.roots)
        answer["resources"] = dict(sorted(Counter(node.key.type for node in graph).items()))
        uses = costs.uses_of(graph, lambda key: provider.protection(key.type), plan.get("parameters") or {})
        batches = costs.batches_of(graph, lambda key: provider.protection(key.type), uses, max_passing)
        items = costs.costed(uses, batches, open_cloud)
        answer["cost"] = [item.to_dict() for item in items]
        refusal = costs.refusal(items)
        if refusal is not None:
            raise refusal
    except errors.Unavailable:
        raise
    except errors.KarborError as fault:
        answer["conflicts"].append({"reason": fault.message, "next_action": advice_on(fault)})
    return answer
