# SPDX-License-Identifier: Apache-2.0
"""What may a user say about the stack of a restore?"""

import json
from collections.abc import Mapping
from typing import Any, Literal

from karbor.model import errors
from karbor.sdk.options import Options, option

#: Where the options stand among the parameters of a restore, in the place of a resource type.
STACK_TYPE = "OS::Heat::Stack"


class StackOptions(Options):
    """Options of the type ``OS::Heat::Stack`` in the parameters of a restore."""

    engine: Literal["auto", "heat", "direct"] = option(
        "auto",
        "auto: by Heat where the cloud has it, else by calls of the other services; heat: by Heat, or not at all; "
        "direct: by those calls, without a stack.",
    )
    stack_name: str = option("karbor-restore", "The stack has this name, and the id of the restore behind it.")
    timeout_minutes: int = option(60, "How long may the building take?", minimum=1, maximum=1440, unit="minutes")
    on_failure: Literal["remove", "keep"] = option(
        "remove",
        "remove: what was built is removed when the restore fails. keep: the stack and all that was restored stays, "
        "to be looked at and removed by hand.",
    )
    export_to: str = option(
        "",
        "Where the template is put before anything is built from it: CONTAINER/NAME in the object store of the "
        "project. Empty: nowhere.",
    )
    rebuild_stacks: Literal["yes", "no"] = option(
        "no",
        "yes: what a stack of yours had made comes back in a stack of its name, made of its own template with the "
        "restored data, so that Heat goes on managing it.",
    )
    stack_parameters: str = option(
        "",
        "Parameters of stacks that are made again, as JSON: {STACK NAME: {PARAMETER: VALUE}}. Hidden ones must be "
        "given: they are in no checkpoint.",
        secret=True,
    )
    build: Literal["yes", "no"] = option(
        "yes", "no: the template is exported, and what it needs is restored, but no stack is made of it."
    )

    def given_parameters(self) -> Mapping[str, Mapping[str, Any]]:
        """``stack_parameters`` by the name of the stack. Raises InvalidInput; what it says holds no value."""
        try:
            found = json.loads(self.stack_parameters or "{}")
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or not all(isinstance(one, dict) for one in found.values()):
            raise errors.InvalidInput("stack_parameters must be JSON: {STACK NAME: {PARAMETER: VALUE}}.")
        return found
