# SPDX-License-Identifier: Apache-2.0
"""What does a plug-in get from the process it runs in?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from karbor.model import errors

if TYPE_CHECKING:
    from karbor.sdk.hypervisor import Hypervisor


@dataclass(frozen=True)
class Environment:
    """Handed to every plug-in when it is made.

    ``host`` is the name of this worker's host, ``state_dir`` a directory of the service for files that must survive a
    restart, ``default_project`` owns resources that name no owner themselves.
    """

    host: str
    state_dir: str
    default_project: str = ""
    hypervisors: Mapping[str, "Hypervisor"] = field(default_factory=dict)

    def is_visible(self, owner: str, project_id: str) -> bool:
        """Whether a project sees a resource of ``owner``.

        One that names no owner ("") belongs to ``default_project``, or to everybody where that is empty.
        """
        return (owner or self.default_project or project_id) == project_id

    def hypervisor(self, name: str) -> "Hypervisor":
        """The driver of that name. Raises HypervisorUnavailable where this worker has none."""
        try:
            return self.hypervisors[name]
        except KeyError:
            raise errors.HypervisorUnavailable(
                f"This host has no {name} hypervisor.", next_action="name it in enabled_hypervisors"
            ) from None
