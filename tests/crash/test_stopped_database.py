# SPDX-License-Identifier: Apache-2.0
"""Does a job go on and end right when its database is gone for a while at one of its fault points?

A real MariaDB, killed while the worker stands at the point and started again later; the worker runs on into the gap.
The wall clock of the worker is an hour wrong meanwhile: leases go by the clock of the database. By default one point of
protect and two seconds; KARBOR_CRASH_POINTS=all takes eight points of each, and 20 seconds.
"""

import time

import pytest

from karbor.model.operation import OPERATIONS
from tests.support import servers
from tests.support.crashlab import SHARE, Site, check, make_template, numbered, share

WHOLE = SHARE == "all"
SECONDS = 20 if WHOLE else 2

pytestmark = [pytest.mark.system, pytest.mark.timeout(7200 if WHOLE else 600)]


@pytest.fixture(scope="module")
def server():
    with servers.mariadb_server() as server:
        yield server


def _empty(server):
    import pymysql

    connection = pymysql.connect(host="127.0.0.1", port=server.port, user="karbor", password="karbor")
    with connection, connection.cursor() as cursor:
        cursor.execute("DROP DATABASE IF EXISTS karbor")
        cursor.execute("CREATE DATABASE karbor CHARACTER SET utf8mb4")


def _points(lab, template, operation):
    recorded = Site(lab, template, operation).run()
    assert recorded["state"] == "done"
    return numbered(recorded["reached"])


@pytest.mark.parametrize("operation", OPERATIONS if WHOLE else ("protect",))
def test_a_job_outlives_its_database(lab, template, server, tmp_path, operation):
    points = share(_points(lab, template, operation)[:-2], 8 if WHOLE else 1)
    for number, point in enumerate(points):
        _empty(server)
        (tmp_path / f"{number}").mkdir()
        made = make_template(lab, tmp_path / f"{number}", database=server.url)
        site = Site(lab, made, operation, database=server.url)
        mark = site.begin(point, how="pause", shift=3600 if number % 2 else -3600, seconds=300)
        server.stop()
        mark.unlink()
        time.sleep(SECONDS)  # the fault lasts that long; nothing is waited for
        server.start()
        ended = site.end()
        assert ended["state"] == "done", (point, ended)
        found = check(site, 1 << 40)
        print(f"{operation} at {point}: claims {found['fence']}")
