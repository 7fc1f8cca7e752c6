# SPDX-License-Identifier: Apache-2.0
"""What must hold at the end of a schedule of the simulation, whatever happened in it?"""

import shutil

import sqlalchemy as sa

from karbor.model import errors
from karbor.protection.attempt import LOGGED
from karbor.protection.catalog import Rebuild
from karbor.protection.operation import RECORD
from tests.support.simsite import PROJECT, THINGS, Process, checkpoints, whole
from tests.support.vaults import content_of

LIVE = ("protecting", "wait_copying", "copying", "deleting")


class Broken(AssertionError):
    """Something that was promised does not hold."""


class Judge:
    """What must hold when all is calm."""

    def __init__(self, world):
        self.world = world

    def catalogs(self):
        """Nothing is unfinished, everything that failed says why, the counters are right, the log says the same."""
        for site in self.world.sites:
            with site.database.read() as rows:
                jobs = [rows.jobs.get(id_) for id_ in _ids(rows, "jobs")]
                if books := _ids(rows, "logbooks", "uuid"):
                    raise Broken(f"flows are left: {books}")
                for table, rows_of in (("restores", rows.restores), ("verifications", rows.verifications)):
                    for id_ in _ids(rows, table):
                        self._run(rows_of.get(id_))
                for job in jobs:
                    self._job(site, rows, job)
            for checkpoint in checkpoints(site):
                if checkpoint.id in site.touched and checkpoint.status == "available":
                    raise Broken(f"{checkpoint.id} was given up, and came back")
                if checkpoint.status in LIVE:
                    raise Broken(f"{checkpoint.id} is {checkpoint.status}, and nobody works on it")
                if "error" in checkpoint.status:
                    self._reason(checkpoint.id, checkpoint.reason and checkpoint.reason.cause)
            with site.database.write() as rows:
                if drift := rows.quotas.reconcile():
                    raise Broken(f"counters are wrong: {drift}")

    def _reason(self, what, cause):
        if not cause:
            raise Broken(f"{what} failed and does not say why")
        if "internal fault" in cause:
            raise Broken(f"{what}: {cause}")

    def _run(self, run):
        if run.status == "in_progress":
            raise Broken(f"{run.id} is in progress, and nobody works on it")
        if run.status == "fail":
            self._reason(run.id, " ".join(run.resources_reason.values()))

    def _job(self, site, rows, job):
        log = rows.operation_logs.get(job.id)
        well, badly = LOGGED[job.operation]
        if job.state not in ("done", "failed"):
            raise Broken(f"job {job.id} is {job.state}")
        if log.status != (well if job.state == "done" else badly) or log.ended_at is None:
            raise Broken(f"job {job.id} is {job.state}, its log says {log.status}")
        if job.state == "failed":
            self._reason(job.id, log.error_info)
        elif job.operation == "restore":
            for name in THINGS:
                if not whole(name, self.world.protectable.contents.get(f"{name}@{job.id}", b"")):
                    raise Broken(f"the restore {job.id} is not what was saved")
        if job.operation in ("protect", "copy") and job.checkpoint_id not in site.touched:
            status = rows.checkpoints.get(job.checkpoint_id).status
            if status in ("available", "error") and (job.state, status) == ("failed", "available"):
                raise Broken(f"checkpoint {job.checkpoint_id} is {status}, its job {job.state}")

    def banks(self):
        """What is said to be available is whole, and so is all that counts in a bank. Nobody else's was touched."""
        world = self.world
        self.counting = {}
        for provider, bank in world.banks.items():
            for name, data in world.foreign[provider].items():
                if bank.objects.get(name) != data:
                    raise Broken(f"{name} of another tenant was touched")
            shutil.rmtree(world.directory / "reader", ignore_errors=True)
            vault = world.sites[0].vault(bank, "reader")
            domain = vault.domain(PROJECT)
            found = self.counting[provider] = set()
            for id_ in domain.records(RECORD):
                if self._read(domain, provider, id_):
                    found.add(id_)
            vault.close()
        for site in world.sites:
            for checkpoint in checkpoints(site):
                there = checkpoint.id in self.counting[checkpoint.provider_id]
                if checkpoint.status == "available" and not there:
                    raise Broken(f"{checkpoint.id} is available, and the bank has no record of it")
                if checkpoint.status == "deleted" and there:
                    raise Broken(f"{checkpoint.id} is deleted, and the bank has a record of it")

    def _read(self, domain, provider, checkpoint_id):
        try:
            record = domain.get_record(RECORD, checkpoint_id)
        except errors.ObjectNotFound:
            return False
        except errors.IntegrityError as fault:
            return self._bad(checkpoint_id, fault.operator_text())
        if {entry["saved"]["name"] for entry in record["resources"]} != set(THINGS):
            raise Broken(f"{checkpoint_id} does not hold all that was asked for")
        for entry in record["resources"]:
            try:
                data = content_of(domain, entry["streams"]["content"])
            except (errors.IntegrityError, errors.ObjectNotFound) as fault:
                return self._bad(checkpoint_id, fault.operator_text())
            if not whole(entry["saved"]["name"], data):
                raise Broken(f"{checkpoint_id} reads back wrong")
        return True

    def _bad(self, checkpoint_id, text):
        """A record that cannot be read may only be there where nobody was told that it is good: the bank lied."""
        for site in self.world.sites:
            for checkpoint in checkpoints(site):
                if checkpoint.id == checkpoint_id and checkpoint.status == "available":
                    raise Broken(f"{checkpoint_id} is available and cannot be read: {text}")
        if not self.world.lied:
            raise Broken(f"{checkpoint_id} counts and cannot be read: {text}")
        return False

    def rebuild(self):
        """A catalog made from the banks alone has what counts, and nothing that was deleted."""
        world = self.world
        path = world.directory / "rebuilt.sqlite"
        shutil.copy(world.template.database, path)
        site = world.sites[0]
        database = site.open(path)
        process = Process(site, "rebuilder")
        for provider in process.ids:
            Rebuild(database, process.get(provider)).run()
        with database.read() as rows:
            found = set(_ids(rows, "checkpoints"))
        process.close()
        database.dispose()
        if not world.lied and found != set().union(*self.counting.values()):
            raise Broken("the rebuilt catalog has other checkpoints than the banks")
        if back := found & {one.id for each in world.sites for one in checkpoints(each) if one.status == "deleted"}:
            raise Broken(f"deleted, and back in the rebuilt catalog: {sorted(back)}")


def _ids(rows, table, column="id"):
    return list(rows.connection.execute(sa.text(f"SELECT {column} FROM {table} ORDER BY 1")).scalars())  # noqa: S608
