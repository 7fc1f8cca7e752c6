# SPDX-License-Identifier: Apache-2.0
"""Are secret parameters of a restore readable for its worker, and for nobody and nothing else?"""

import pytest
from cryptography.fernet import Fernet

from karbor.clients.sealedlogins import LoginSeal
from karbor.clients.sealedparameters import opened, sealed
from karbor.model import errors
from tests.support.markers import found

SECRET = "hunter-Kd8Zx3Vb6Nq1"
GIVEN = {
    "OS::Heat::Stack": {"stack_parameters": f'{{"shop": {{"password": "{SECRET}"}}}}', "engine": "heat"},
    "OS::Nova::Server": {"restore_name": "web"},
}


@pytest.fixture
def seal():
    return LoginSeal([Fernet.generate_key()])


def test_secrets_open_for_their_restore_only_and_not_in_the_place_of_a_login(seal):
    kept = sealed(GIVEN, "restore-1", seal)
    assert found(repr(kept).encode(), [SECRET]) == []
    assert kept["OS::Nova::Server"] == GIVEN["OS::Nova::Server"] and kept["OS::Heat::Stack"]["engine"] == "heat"
    assert opened(kept, "restore-1", seal.open) == GIVEN
    with pytest.raises(errors.KeyUnavailable):
        opened(kept, "restore-2", seal.open)
    moved = {"OS::Heat::Stack": {"stack_parameters": "sealed:" + seal.seal("restore-1", {"value": "x"})}}
    with pytest.raises(errors.KeyUnavailable):
        opened(moved, "restore-1", seal.open)


@pytest.mark.parametrize("value", ["", '{"shop": {}}', "sealed", "{sealed:"])
def test_what_an_earlier_release_kept_is_taken_as_it_is(seal, value):
    kept = {"OS::Heat::Stack": {"stack_parameters": value}}
    assert opened(kept, "restore-1", seal.open) == kept


@pytest.mark.parametrize("value", ["sealed:", "sealed:gAAAA", "***", "\x00", "{}"])
def test_whatever_a_user_sends_comes_back_as_it_was(seal, value):
    given = {"OS::Heat::Stack#7": {"stack_parameters": value}}
    assert opened(sealed(given, "r", seal), "r", seal.open) == given


def test_where_there_is_no_secret_nobody_is_asked(seal):
    plain = {"OS::Heat::Stack": {"engine": "heat"}}
    assert opened(sealed(plain, "r", seal), "r", lambda *_: pytest.fail("asked")) == plain
