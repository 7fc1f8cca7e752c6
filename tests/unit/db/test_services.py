# SPDX-License-Identifier: Apache-2.0
"""Does each daemon have one row that shows its last sign of life?"""


class TestServices:
    def test_a_sign_of_life_renews_the_row(self, database, clock):
        start = clock.now()
        with database.write() as rows:
            rows.services.heartbeat(binary="karbor-protection", host="b")
            rows.services.heartbeat(binary="karbor-protection", host="a")
        clock.pass_time(10)
        with database.write() as rows:
            rows.services.heartbeat(binary="karbor-protection", host="b")
        with database.read() as rows:
            first, second = rows.services.list()
        assert (first.host, first.created_at, first.updated_at) == ("a", start, start)
        assert (second.host, second.created_at, second.updated_at) == ("b", start, clock.now())
