# SPDX-License-Identifier: Apache-2.0
"""Does a list that nobody asked anything special of have a bound and an order?"""

from karbor.model.page import MAX_LIMIT, Page, PageRequest


def test_a_plain_request_is_bounded_and_shows_the_newest_first():
    request = PageRequest()
    assert request.limit == MAX_LIMIT
    assert request.sort == (("created_at", "desc"),)


def test_a_page_is_the_last_unless_it_is_full():
    assert not Page((1, 2)).full
