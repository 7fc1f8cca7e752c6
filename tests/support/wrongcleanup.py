# SPDX-License-Identifier: Apache-2.0
"""How could clean-up be wrong? Each variant leaves out one part of what makes it safe."""

from karbor.vault.cleanup import CleanUp


class WaitsForNobody(CleanUp):
    """Deletes what is condemned without waiting for the end of the leases: a grace that is too short."""

    def _is_ready(self, condemned, held):
        return True


class TrustsTheFirstLook(CleanUp):
    """Deletes all that was condemned, without looking again what is needed now."""

    def _dead(self, marks, index):
        return {pack_id: size for pack_id, size in marks._run("SELECT id, size FROM here JOIN doomed USING (id)")}  # noqa: C416


class FollowsRecordsOnly(CleanUp):
    """Takes streams that no record names yet for garbage, although others were written against them."""

    def _unnamed_alive(self, unnamed, going):
        return set()


class DecidesNothing(CleanUp):
    """Removes the lease of a silent writer without making sure that its record never counts."""

    def _give_up_expired(self):
        for job, held in self._leases.newest().items():
            if self._leases.expired(held):
                self._leases.remove(job)


class LateLease:
    """The lease of a writer that takes it only when it commits: clean-up marks before the lease is there."""

    def __init__(self, domain, **claim):
        self._begin = lambda: domain.lease(**claim)
        self._lease = None
        self.seen = self.heeds = frozenset()

    def check(self):
        """Nothing is held yet."""

    def confirm(self):
        self._lease = self._lease or self._begin()
        self._lease.confirm()

    def end(self):
        return (self._lease or self._begin()).end()


class BlindLease:
    """A lease whose owner never asks whether it still holds it."""

    def __init__(self, domain, **claim):
        self._lease = domain.lease(**claim)
        self.seen, self.heeds = self._lease.seen, self._lease.heeds
        self.end = self._lease.end

    def check(self):
        """Does not look."""

    confirm = check
