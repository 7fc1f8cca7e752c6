# SPDX-License-Identifier: Apache-2.0
"""Which fixtures do the tests of the API share?"""

import pytest

from tests.support.api import Api


@pytest.fixture
def api(tmp_path):
    """The API as everybody's administrator (noauth)."""
    made = Api(tmp_path)
    yield made
    made.database.dispose()
