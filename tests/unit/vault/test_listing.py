# SPDX-License-Identifier: Apache-2.0
"""Is every object seen once, whatever the size of a page?"""

import pytest

from karbor.vault.listing import names, objects


@pytest.mark.parametrize("page", [1, 3, 6, 7, 8, 100])
def test_every_object_is_seen_once(bank, page):
    wanted = [f"a/{number}" for number in range(7)]
    for name in [*wanted, "b/1"]:
        bank.put_if_absent(name, b"")
    assert [info.name for info in objects(bank, "a/", page)] == wanted


def test_names_come_without_the_prefix(bank):
    bank.put_if_absent("d/x/index/1", b"")
    assert list(names(bank, "d/x/", "index/")) == ["index/1"]
