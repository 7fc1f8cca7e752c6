# SPDX-License-Identifier: Apache-2.0
"""Does a daemon show what it counts on a port of its own, and refuse to show it to the world unasked?"""

import urllib.request

import pytest

from karbor.app.metricsport import MetricsPort
from karbor.common.meters import Meters
from karbor.model import errors
from tests.support.api import make_conf


def conf_with(**settings):
    conf = make_conf()
    for name, value in settings.items():
        conf.set_override(name, value, group="metrics")
    return conf


def test_it_serves_until_it_is_stopped():
    meters = Meters()
    meters.answered("plan_get", 200, 0.1)
    port = MetricsPort(conf_with(port=0), meters)
    port.start()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port.port}/metrics", timeout=60) as answer:
            assert b'karbor_api_requests_total{operation="plan_get",status="200"} 1.0' in answer.read()
    finally:
        port.stop()


def test_other_hosts_need_a_token_or_leave():
    with pytest.raises(errors.ConfigurationError):
        MetricsPort(conf_with(listen="0.0.0.0"), Meters())
    MetricsPort(conf_with(listen="0.0.0.0", token="opensesame"), Meters())


# cheroot leaves the socket that it could not bind to the garbage collector
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_port_that_is_taken_is_named_as_the_cause():
    first = MetricsPort(conf_with(port=0), Meters())
    first.start()
    try:
        with pytest.raises(errors.ConfigurationError):
            MetricsPort(conf_with(port=first.port), Meters()).start()
    finally:
        first.stop()
