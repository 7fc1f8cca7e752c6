# SPDX-License-Identifier: Apache-2.0
"""What do parts of a template become in the cloud in memory: by its Heat, or without it?"""

from karbor.clients.heat import HeatStacks
from karbor.heat.direct import DirectBuilder
from karbor.heat.stack import StackBuilder
from karbor.heat.template import assemble

RESTORE = "5f6e2c3a-8b1d-4c9e-9a70-1b2c3d4e5f60"


def by_heat(memory, cloud):
    """Heat of the cloud in memory, for a tenant."""
    return StackBuilder(HeatStacks(cloud), memory.clock, lambda: None, pause=memory.clock.pass_time)


def directly(memory, cloud):
    """The calls that stand in for Heat."""
    return DirectBuilder(cloud, RESTORE, memory.clock, lambda: None, pause=memory.clock.pass_time)


WAYS = [by_heat, directly]


def built(memory, cloud, parts, way=by_heat):
    """The new id of each part by its original id."""
    template = assemble(parts, description="trial")
    ids = way(memory, cloud).build("trial", template, report=lambda _now: None, timeout_minutes=60)
    made = {part.original_id: ids[name] for name, part in template.names.items()}
    return {**made, **{part.original_id: part.value for part in template.parameters.values()}}
