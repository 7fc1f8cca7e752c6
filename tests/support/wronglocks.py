# SPDX-License-Identifier: Apache-2.0
"""How could locks be wrong? Each variant leaves out one part of what makes them safe."""

from tests.support.lockworld import LockWorld


class LooksOnce(LockWorld):
    """Who deletes looks for locks before the tombstone is there, and not again."""

    def delete(self, domain, record_id):
        records = domain._for_writing().records
        kind = "checkpoint"
        records.locks.require_none(f"{kind}/{record_id}")
        records._bury(f"record/{kind}/{record_id}", {})
        records._bank.delete(f"{records._prefix}record/{kind}/{record_id}")


class NeverLooksBack(LockWorld):
    """Who locks does not look for a tombstone afterwards."""

    def wish(self, domain, record_id, wish):
        records = domain._for_writing().records
        buried = records._buried
        records._buried = lambda name: False
        try:
            super().wish(domain, record_id, wish)
        finally:
            records._buried = buried
