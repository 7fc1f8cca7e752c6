# SPDX-License-Identifier: Apache-2.0
"""Does a bank keep its conditions just now: can an object be put once, read, found and removed?"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from karbor.model import errors
from karbor.sdk.bank import Bank
from karbor.vault import format


@dataclass(frozen=True)
class Condition:
    """One condition of karbor.sdk.bank and why it does not hold; an empty reason where it does."""

    name: str
    reason: str = ""


def probe_bank(bank: Bank) -> tuple[Condition, ...]:
    """Try the conditions with one small object, which is removed again. Raises nothing that the bank raises."""
    name, data = format.probe_name(secrets.token_hex(16)), secrets.token_bytes(64)

    def listed() -> bool:
        return any(info.name == name for info in bank.list(format.PROBES, name[:-1]))

    def gone() -> bool:
        try:
            bank.get(name)
        except errors.ObjectNotFound:
            return True
        return False

    def removed() -> bool:
        bank.delete(name)
        return gone()

    steps: list[tuple[str, Callable[[], bool]]] = [
        ("an object can be put", lambda: bank.put_if_absent(name, data)),
        ("an object is put once", lambda: not bank.put_if_absent(name, data[::-1])),
        ("an object is read as it was put", lambda: bank.get(name) == data),
        ("a part of an object is read", lambda: bank.get(name, 16, 8) == data[16:24]),
        ("an object has its size", lambda: bank.stat(name).size == len(data)),
        ("an object is removed", removed),
    ]
    if not bank.capabilities.list_lag:
        steps.insert(5, ("an object is listed", listed))
        steps.append(("a removed object is not listed", lambda: not listed()))
    return tuple(Condition(text, _tried(step)) for text, step in steps)


def _tried(step: Callable[[], bool]) -> str:
    try:
        return "" if step() else "the bank answered otherwise"
    except errors.KarborError as fault:
        return fault.operator_text()
