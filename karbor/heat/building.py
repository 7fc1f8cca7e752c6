# SPDX-License-Identifier: Apache-2.0
"""What can build a template: Heat, or the cloud's own calls in its place?"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from karbor.clients.stacks import BuiltResource
from karbor.heat.template import Template

#: Called with what is known of the resources each time some of it changed.
Report = Callable[[Sequence[BuiltResource]], None]


class Builder(Protocol):
    """Builds templates, and takes that back. ``name`` must be of one restore alone, and the template the same each
    time."""

    def build(self, name: str, template: Template, *, report: Report, timeout_minutes: int) -> Mapping[str, str]:
        """Have everything built, and return the new id of each resource by its name in the template.

        May be called again: what is there is gone on with. Raises StepFailed with the resources that could not be built
        and why, in words for the user; what was built by then stays as it is.
        """

    def remove(self, name: str, template: Template) -> None:
        """Remove all of it and wait until it is gone. May be called again. Raises StepFailed."""
