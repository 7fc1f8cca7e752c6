# SPDX-License-Identifier: Apache-2.0
"""What does a plug-in tell of the things in a cloud that jobs of this service made?"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Made:
    """One thing in the cloud with the mark of a job. ``kind`` is what its service calls such things (``snapshots``).
    ``passing``: it goes when the job ends, however that is; others belong to the checkpoint, if there is one then."""

    service: str
    kind: str
    id: str
    name: str
    job_id: str
    passing: bool
