# SPDX-License-Identifier: Apache-2.0
"""How is what a verification found put into a report, and into a line for people?"""

from collections.abc import Mapping, Sequence
from typing import Any

from karbor.vault.examineobjects import UNREADABLE
from karbor.vault.report import Damage, StreamReport

RECORD_KEY = "checkpoint"  # key of a report: the record of the checkpoint, or the keys of the project, are lost
_SHOWN = 1000  # ranges of one stream that a report holds
_NAMED = 3  # ranges that a reason names


def ranges(name: str, report: StreamReport) -> list[dict[str, Any]]:
    """What a report tells of one stream."""
    found = [{"stream": name, **part.to_dict()} for part in report.damage[:_SHOWN]]
    rest: Sequence[Damage] = report.damage[_SHOWN:]
    if rest:
        length = sum(part.length or 0 for part in rest)
        reason = f"{len(rest) + report.omitted} more ranges from here on"
        found.append({"stream": name, "offset": rest[0].offset, "length": length, "reason": reason, "objects": []})
    return found


def fate(found: Mapping[str, Any]) -> tuple[str, str]:
    """(status, reason) of one resource, by what was found of it."""
    if found.get("damage"):
        return "error", told(found["damage"])
    return ("error", found["failed"]["reason"]) if found.get("failed") else ("available", "")


def told(damage: Sequence[Mapping[str, Any]]) -> str:
    """Damage in one line: how much, and where the first of it is."""
    parts = []
    for entry in damage[:_NAMED]:
        where = (
            f"bytes {entry['offset']} to {entry['offset'] + entry['length'] - 1}" if entry["length"] else "all bytes"
        )
        parts.append(f"{where} of {entry['stream'] or 'what lies outside the bank'} are lost ({entry['reason']})")
    if len(damage) > _NAMED:
        parts.append(f"and {len(damage) - _NAMED} more ranges")
    return ", ".join(parts)


def proven(report: Mapping[str, Any]) -> bool:
    """Whether a report of a verification tells of bytes that are lost for certain, not only of what the bank cannot
    read just now."""
    lost = [entry for key, entries in report.items() if "#" in key for entry in entries]
    return RECORD_KEY in report or any(entry["reason"] != UNREADABLE for entry in lost)
