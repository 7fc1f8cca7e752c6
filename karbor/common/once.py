# SPDX-License-Identifier: Apache-2.0
"""How do several threads share an answer that one of them asks for?"""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

Found = TypeVar("Found")


class Once:
    """Answers by name, each found once. Thread-safe: whoever wants one that is being found waits for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards _answers
        self._answers: dict[str, _Answer] = {}

    def get(self, name: str, find: Callable[[], Found]) -> Found:
        """What ``find`` returned when somebody asked first. What it raises is not kept: the next one finds anew."""
        with self._lock:
            answer = self._answers.setdefault(name, _Answer())
        with answer.lock:
            if not answer.known:
                answer.value = find()
                answer.known = True
            found: Found = answer.value
            return found


class _Answer:
    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.known = False
        self.value: Any = None
