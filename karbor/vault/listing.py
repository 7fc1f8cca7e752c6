# SPDX-License-Identifier: Apache-2.0
"""Which objects of a bank begin with a prefix, all of them, page by page?"""

from collections.abc import Iterator

from karbor.sdk.bank import Bank, ObjectInfo

PAGE = 1000


def objects(bank: Bank, prefix: str, page: int = PAGE) -> Iterator[ObjectInfo]:
    """In byte order of their names. What is put or deleted meanwhile may be among them or not."""
    after = ""
    while True:
        found = bank.list(prefix, after, page)
        yield from found
        if len(found) < page:
            return
        after = found[-1].name


def names(bank: Bank, prefix: str, beginning: str) -> Iterator[str]:
    """The names below ``prefix`` (such as a domain) that begin so, without the prefix."""
    for info in objects(bank, prefix + beginning):
        yield info.name.removeprefix(prefix)
