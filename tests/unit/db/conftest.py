# SPDX-License-Identifier: Apache-2.0
"""On which database do the tests of this directory run? SQLite; tests/system runs the same classes on the servers."""

import shutil

import pytest

from karbor.db.database import Database
from tests.support.clock import TwinClock


@pytest.fixture
def clock():
    return TwinClock()


@pytest.fixture
def many():
    """How many rows a long list has here."""
    return 10_000


@pytest.fixture
def empty_url(tmp_path):
    """The URL of a database without tables."""
    return f"sqlite:///{tmp_path}/karbor.sqlite"


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """A file with the newest schema: copying it is much quicker than running the migrations for each test."""
    path = tmp_path_factory.mktemp("template") / "karbor.sqlite"
    database = Database(f"sqlite:///{path}", clock=TwinClock())
    database.upgrade()
    database.dispose()  # the last connection folds the write-ahead log into the file
    return path


@pytest.fixture
def database(empty_url, clock, template):
    """A database with the newest schema and no rows."""
    shutil.copy(template, empty_url.removeprefix("sqlite:///"))
    found = Database(empty_url, clock=clock)
    yield found
    found.dispose()
