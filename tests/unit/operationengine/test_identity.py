# SPDX-License-Identifier: Apache-2.0
"""Does the engine log in as the settings say, and does it show where it cannot?"""

import base64

import pytest

from karbor.db.database import Database
from karbor.model import errors
from karbor.model.scheduled_run import ScheduledRun
from karbor.operationengine.identity import make_identity
from tests.support.api import make_conf
from tests.support.clock import TwinClock

RUN = ScheduledRun("r1", "p1", "ann", "o1", "protect", TwinClock().now())


def _conf(strategy, **given):
    conf = make_conf(auth_strategy=strategy)
    for name, value in given.items():
        conf.set_override(name, value, group="operationengine")
    return conf


def _made(strategy, **given):
    """Without Keystone the database is not asked."""
    return make_identity(_conf(strategy, **given), Database("sqlite:////nowhere", clock=TwinClock()), None)


def test_without_login_it_names_the_user_of_the_schedule_and_its_project():
    assert _made("noauth").headers(RUN) == {"X-Auth-Token": "ann:p1"}


def test_with_passwords_it_is_a_user_of_the_service():
    headers = _made("http_basic", username="engine", password="secret").headers(RUN)
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == b"engine:secret"


@pytest.mark.parametrize("strategy", ["http_basic", "keystone"])
def test_where_it_cannot_log_in_the_runs_say_so(strategy):
    with pytest.raises(errors.Forbidden, match="log"):
        _made(strategy).headers(RUN)
