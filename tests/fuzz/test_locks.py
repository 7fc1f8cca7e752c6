# SPDX-License-Identifier: Apache-2.0
"""Can anybody who has all that the service has shorten or remove a locked checkpoint?

By default some hundred tries; KARBOR_LOCK_TRIES=N makes it so many.
"""

import logging
import os

import pytest

from tests.support.lockfuzz import Attack

TRIES = int(os.environ.get("KARBOR_LOCK_TRIES", "300"))

pytestmark = pytest.mark.timeout(600 + TRIES)


@pytest.fixture
def attack(tmp_path):
    logging.disable(logging.CRITICAL)
    made = Attack(tmp_path, seed=TRIES)
    yield made
    made.close()
    logging.disable(logging.NOTSET)


def test_no_try_removes_or_shortens_what_is_locked(attack):
    for number in range(TRIES):
        attack.attempt()
        if number % 50 == 49:
            attack.judge()
    attack.judge()
    assert attack.refused and attack.done
