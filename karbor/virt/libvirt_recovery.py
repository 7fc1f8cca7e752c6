# SPDX-License-Identifier: Apache-2.0
"""What did processes that died leave on this host, and how is it mended?"""

import logging
from collections.abc import Iterator, Sequence

import libvirt

from karbor.model import errors
from karbor.virt import libvirt_bitmap, libvirt_freeze, libvirt_record
from karbor.virt.libvirt_capture import Captures, IsWanted
from karbor.virt.libvirt_connection import translated
from karbor.virt.libvirt_names import CaptureFiles, parse_file, parse_frozen

LOG = logging.getLogger(__name__)


def recover(captures: Captures, is_wanted: IsWanted) -> Sequence[str]:
    """See sdk.hypervisor.Hypervisor.recover. One thing that cannot be mended does not keep others from it.

    Raises HypervisorUnavailable.
    """
    captures.ask_with(is_wanted)
    captures.host.connection.get()
    return [
        *_thaw(captures),
        *_end_dead(captures),
        *_end_jobs_without_record(captures),
        *captures.hidden.recover(),
    ]


def _thaw(captures: Captures) -> Iterator[str]:
    for marker in sorted(captures.host.scratch_dir.glob("karbor-*.frozen")):
        domain_id = parse_frozen(marker)
        if domain_id is None:
            continue
        try:
            libvirt_freeze.thaw_leftover(captures.host.connection.domain(domain_id), marker)
            yield f"guest thawed domain={domain_id}"
        except errors.ResourceNotFound:
            marker.unlink(missing_ok=True)


def _end_dead(captures: Captures) -> Iterator[str]:
    for files in libvirt_record.found(captures.host.scratch_dir):
        try:
            yield from _mend(captures, files)
        except errors.HypervisorUnavailable:
            raise
        except (errors.KarborError, libvirt.libvirtError, OSError) as fault:
            LOG.error("leftover not mended domain=%s token=%s cause=%s", files.domain_id, files.token, fault)


def _mend(captures: Captures, files: CaptureFiles) -> Iterator[str]:
    wanted = captures.is_wanted(files.scope, files.token)
    if wanted and captures.adopt_if_standing(files):
        return
    yield from captures.clear(files)
    if not wanted:
        captures.discard(files.domain_id, files.scope, files.token)
    yield f"capture removed domain={files.domain_id} token={files.token}"


def _end_jobs_without_record(captures: Captures) -> Iterator[str]:
    """Backup jobs whose scratch files lie in our directory, though no record names them."""
    host = captures.host
    with translated("list domains"):
        running = host.connection.get().listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
    for domain in running:
        try:
            job = libvirt_bitmap.job(domain)
            owner = _owner(captures, job) if job else None
            if owner is None or libvirt_record.load(owner) is not None:
                continue
            captures.discard(owner.domain_id, owner.scope, owner.token)
            yield f"backup job ended domain={owner.domain_id} token={owner.token}"
        except errors.ResourceNotFound:
            continue


def _owner(captures: Captures, job: libvirt_bitmap.Job) -> CaptureFiles | None:
    for path in job.scratch:
        name = parse_file(path)
        if name is not None and path.startswith(f"{captures.host.scratch_dir}/"):
            return captures.host.files(name.domain_id, name.scope8, name.token)
    return None
