# SPDX-License-Identifier: Apache-2.0
"""What do the crash tests share?"""

import pytest

from tests.support.crashlab import Lab, make_template


@pytest.fixture(scope="module")
def lab():
    lab = Lab()
    yield lab
    lab.close()


@pytest.fixture(scope="module")
def template(lab, tmp_path_factory):
    """A site to be cloned."""
    return make_template(lab, tmp_path_factory.mktemp("site"))
