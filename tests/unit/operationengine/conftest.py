# SPDX-License-Identifier: Apache-2.0
"""What does an engine under test stand on? An SQLite database, a clock that stands still, and a twin of the API."""

import pytest

from tests.support.northbound import NorthTwin
from tests.unit.db.conftest import clock, database, empty_url, template  # noqa: F401


@pytest.fixture
def north(database):  # noqa: F811
    """The twin; what it makes is available at once."""
    NorthTwin.prepare(database)
    return NorthTwin(database)
