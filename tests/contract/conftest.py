# SPDX-License-Identifier: Apache-2.0
"""Which servers do the contract tests share?"""

import pytest

from tests.support.moto import moto as started


@pytest.fixture(scope="session")
def moto():
    """One S3 service for the whole run."""
    with started() as server:
        yield server
