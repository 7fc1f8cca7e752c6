# SPDX-License-Identifier: Apache-2.0
"""Does every failure say what to do next?"""

import inspect

import pytest

from karbor.model import errors
from karbor.model.errors import KarborError
from karbor.protection.advice import advice_on
from karbor.protection.operation import reason_of

KINDS = [kind for _name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, KarborError)]


@pytest.mark.parametrize("kind", [*KINDS, ValueError], ids=lambda kind: kind.__name__)
def test_every_kind_of_fault_has_a_next_action(kind):
    reason = reason_of(kind("It broke."), resource="web", step="protect")
    assert reason.next_action
    assert (reason.resource, reason.step) == ("web", "protect")


def test_who_raises_an_error_knows_better():
    assert advice_on(errors.BankFull("No room.", next_action="buy a disk")) == "buy a disk"


def test_kinds_are_told_apart():
    assert advice_on(errors.BankFull()) != advice_on(errors.BankUnavailable()) != advice_on(errors.Unavailable())


def test_an_unexpected_fault_shows_no_internals():
    assert "secret" not in str(reason_of(ValueError("secret"), resource="", step="").to_dict())
