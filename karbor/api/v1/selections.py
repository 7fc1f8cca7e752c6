# SPDX-License-Identifier: Apache-2.0
"""Can a plan protect what its user names or chooses?"""

from collections.abc import Mapping, Sequence
from typing import Any

from karbor.api.call import Call
from karbor.model import errors
from karbor.model.provider import ProviderInfo
from karbor.model.selection import Choice


def given(body: Mapping[str, Any]) -> tuple[Choice, ...]:
    """The choices of a request for a plan. Raises InvalidInput for one that would choose everything."""
    choices = tuple(map(Choice.from_dict, body.get("selection") or ()))
    for place, choice in enumerate(choices):
        if not choice.wanted.goes_by:
            raise errors.InvalidInput(
                f"Invalid input for field/attribute plan.selection[{place}]. It needs tags, metadata or a name; "
                "the name * chooses everything of that type."
            )
    return choices


def check(call: Call, provider: ProviderInfo, choices: Sequence[Choice]) -> None:
    """Raise InvalidInput for a choice that this provider cannot make, Unavailable where nobody answers for it."""
    for choice in choices:
        if choice.type not in provider.resource_types:
            raise errors.InvalidInput(f"The provider cannot protect resources of type {choice.type}.")
    if not choices:
        return
    refused = call.services.protection.check_selection(
        provider_id=provider.id, selection=[choice.to_dict() for choice in choices]
    )
    if refused:
        raise errors.InvalidInput(str(refused[0]["reason"]))


def require_any(body: Mapping[str, Any], resources: Sequence[Any], choices: Sequence[Choice]) -> None:
    """Raise InvalidInput for a plan that would protect nothing."""
    if resources or choices:
        return
    if "resources" in body:
        raise errors.InvalidInput(
            "Invalid input for field/attribute plan.resources. It needs at least 1 item(s), or a selection."
        )
    raise errors.InvalidInput("Invalid input for field/attribute plan. 'resources' is required, or a selection.")


def check_resources(call: Call, provider: ProviderInfo, given: Sequence[Mapping[str, Any]], *, project_id: str) -> None:
    """Raise InvalidInput for a resource that this provider cannot protect, or that the project does not have.

    The last word has the live inventory; Unavailable where nobody answers for it.
    """
    for entry in given:
        if entry["type"] not in provider.resource_types:
            raise errors.InvalidInput(f"The provider cannot protect resources of type {entry['type']}.")
    if not given:
        return
    refused = call.services.protection.check_resources(
        project_id=project_id, provider_id=provider.id, resources=[dict(entry) for entry in given]
    )
    if refused:
        first = refused[0]
        raise errors.InvalidInput(f"The resource {first['type']} {first['id']} cannot be protected: {first['reason']}")


def check_duplicates(given: Sequence[Mapping[str, Any]]) -> None:
    """Raise InvalidInput where a resource is named twice."""
    seen = set()
    for entry in given:
        key = (entry["type"], entry["id"])
        if key in seen:
            raise errors.InvalidInput(f"The resource {entry['type']} {entry['id']} is named twice.")
        seen.add(key)
