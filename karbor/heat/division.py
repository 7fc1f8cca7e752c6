# SPDX-License-Identifier: Apache-2.0
"""Which parts of a restore does a stack of the user bring back, and what stands before and behind it?"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from karbor.sdk.template import HeatParameter, HeatResource, references

Part = HeatResource | HeatParameter


@dataclass(frozen=True)
class Division:
    """``own`` are the parts of what the stacks make, by original id; ``after`` need something that the stacks make;
    ``before`` is the rest, which the stacks may need."""

    own: Mapping[str, Part]
    before: Sequence[Part]
    after: Sequence[Part]


def divided(parts: Iterable[Part], members: Collection[str], linked: Collection[frozenset[str]]) -> Division:
    """``members``: the ids of what the stacks make. ``linked``: pairs of them that their templates tie together.

    What only ties things of a stack (a port of a server, an attachment) is the template's own business: it is left out.
    A tie of two members that no template knows of was made by hand, and is made again.
    """
    known = {part.original_id: part for part in parts}
    own = {id_: part for id_, part in known.items() if id_ in members}
    left_out = _tied(known, own, linked)
    rest = {id_: part for id_, part in known.items() if id_ not in own and id_ not in left_out}
    behind = set(own)
    grown = True
    while grown:
        more = {id_ for id_, part in rest.items() if id_ not in behind and needs(part) & behind}
        behind |= more
        grown = bool(more)
    before = [part for id_, part in rest.items() if id_ not in behind]
    return Division(own, before, [part for id_, part in rest.items() if id_ in behind])


def needs(part: Part) -> set[str]:
    """The original ids that a part refers to, or that must be there before it."""
    return set() if isinstance(part, HeatParameter) else {*_refers_to(part), *part.depends_on}


def _refers_to(part: HeatResource) -> set[str]:
    return {one.id for one in references(part.properties)}


def _tied(known: Mapping[str, Part], own: Mapping[str, Part], linked: Collection[frozenset[str]]) -> set[str]:
    ties = {id_ for id_, part in known.items() if isinstance(part, HeatResource) and not part.shown and id_ not in own}
    found: set[str] = set()
    left = list(own.values())
    while left:  # what those of the stack need of ties: ports
        more = (needs(left.pop()) & ties) - found
        found |= more
        left += [known[id_] for id_ in more]
    inside = set(own) | found
    elsewhere: set[str] = set()
    left = [part for id_, part in known.items() if id_ not in own and id_ not in ties]
    while left:  # what others need of ties
        more = (needs(left.pop()) & ties) - elsewhere
        elsewhere |= more
        left += [known[id_] for id_ in more]
    tying = {id_: part for id_, part in known.items() if isinstance(part, HeatResource)}
    for id_ in sorted(ties - found - elsewhere):
        needed = _refers_to(tying[id_]) & set(known)  # what only comes before it is not tied by it
        by_hand = len(needed) == 2 and needed <= set(own) and frozenset(needed) not in linked
        if needed & found or (needed and needed <= inside and not by_hand):
            found.add(id_)
    return found
