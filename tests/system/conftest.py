# SPDX-License-Identifier: Apache-2.0
"""Which servers do the system tests share?"""

import pytest

from tests.support import keystone as support


@pytest.fixture(scope="session")
def keystone():
    """One Keystone for the whole run."""
    with support.keystone() as found:
        yield found
