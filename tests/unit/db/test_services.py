# SPDX-License-Identifier: Apache-2.0
"""Does each daemon have one row that shows its last sign of life, and can it be disabled?"""

from concurrent.futures import ThreadPoolExecutor

import pytest

from karbor.model import errors


class TestServices:
    def test_a_sign_of_life_renews_the_row(self, database, clock):
        start = clock.now()
        with database.write() as rows:
            rows.services.heartbeat(binary="karbor-protection", host="b")
            rows.services.heartbeat(binary="karbor-protection", host="a")
            numbers = [service.id for service in rows.services.list()]
        clock.pass_time(10)
        with database.write() as rows:
            rows.services.heartbeat(binary="karbor-protection", host="b")
        with database.read() as rows:
            first, second = rows.services.list()
        assert (first.host, first.created_at, first.updated_at) == ("a", start, start)
        assert (second.host, second.created_at, second.updated_at) == ("b", start, clock.now())
        assert [first.id, second.id] == numbers
        assert not first.disabled and first.disabled_reason is None

    def test_processes_that_start_at_once_share_one_row(self, database):
        def beat(_number):
            with database.write() as rows:
                rows.services.heartbeat(binary="karbor-api", host="here")

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(beat, range(12)))
        with database.read() as rows:
            assert len(rows.services.list()) == 1

    def test_they_are_found_by_host_name_and_number(self, database):
        with database.write() as rows:
            for binary, host in (("karbor-api", "a"), ("karbor-api", "b"), ("karbor-protection", "a")):
                rows.services.heartbeat(binary=binary, host=host)
            assert [(one.binary, one.host) for one in rows.services.list(host="a")] == [
                ("karbor-api", "a"),
                ("karbor-protection", "a"),
            ]
            (found,) = rows.services.list(host="b", binary="karbor-api")
            assert rows.services.get(found.id) == found
            assert rows.services.list(host="a\x00") == ()
            for nobody in (0, -1, 10**30):
                with pytest.raises(errors.NotFound):
                    rows.services.get(nobody)

    def test_a_disabled_one_says_why_until_it_is_enabled(self, database):
        with database.write() as rows:
            rows.services.heartbeat(binary="karbor-operationengine", host="a")
            (service,) = rows.services.list()
            disabled = rows.services.set_enabled(service.id, enabled=False, reason="maintenance")
            assert (disabled.disabled, disabled.disabled_reason) == (True, "maintenance")
            rows.services.heartbeat(binary="karbor-operationengine", host="a")
            assert rows.services.get(service.id).disabled
            enabled = rows.services.set_enabled(service.id, enabled=True, reason="never mind")
            assert (enabled.disabled, enabled.disabled_reason) == (False, None)
            with pytest.raises(errors.NotFound):
                rows.services.set_enabled(service.id + 1, enabled=True)
