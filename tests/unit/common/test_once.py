# SPDX-License-Identifier: Apache-2.0
"""Is an answer found once, whoever asks for it at the same time, and is a failure not kept?"""

import threading

import pytest

from karbor.common.once import Once


def test_an_answer_is_found_once_by_its_name():
    once, asked = Once(), []
    for _ in range(3):
        assert once.get("one", lambda: asked.append(1) or "first") == "first"
        assert once.get("other", lambda: "second") == "second"
    assert asked == [1]


def test_nothing_is_an_answer_too():
    once, asked = Once(), []
    assert [once.get("none", lambda: asked.append(1)) for _ in range(2)] == [None, None]
    assert asked == [1]


def test_threads_that_want_an_answer_wait_for_whoever_asks():
    once, begun, go_on, asked, found = Once(), threading.Event(), threading.Event(), [], []

    def find():
        asked.append(1)
        begun.set()
        assert go_on.wait(60)
        return "answer"

    threads = [threading.Thread(target=lambda: found.append(once.get("name", find))) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert begun.wait(60)
    assert once.get("another", lambda: "at once") == "at once"
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert (asked, found) == ([1], ["answer"] * 4)


def test_a_failure_is_told_and_the_next_one_finds_anew():
    once = Once()
    with pytest.raises(ZeroDivisionError):
        once.get("name", lambda: 1 // 0)
    assert once.get("name", lambda: "answer") == "answer"
