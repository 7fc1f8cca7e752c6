# SPDX-License-Identifier: Apache-2.0
"""How is it tried whether a guest comes up from a checkpoint? Its disks are lent, and the hypervisor boots a copy."""

import json
import uuid
from typing import Any

from karbor.model import errors
from karbor.plugins.resources.libvirt_instant import lent
from karbor.sdk.hypervisor import Hypervisor, Trial
from karbor.sdk.protection import Work

_LOGIN = "login:"


def trial_id(work: Work) -> str:
    """The same one in every attempt, so that what a killed worker left is found."""
    return str(uuid.uuid5(uuid.UUID(work.resource.id), work.operation_id))


def try_boot(driver: Hypervisor, work: Work) -> dict[str, Any]:
    """What is told of a guest that came up. Raises StepFailed, with the end of its console, for one that did not."""
    if work.saved is None:
        raise errors.IntegrityError("The checkpoint holds nothing of this domain.")
    saved, options = work.saved.saved, work.options
    source, exports = lent(work, {disk["target"]: None for disk in json.loads(saved["disks"])})

    def check() -> None:
        work.check()
        source.keep_up()
        driver.admit(source.socket)

    trial = Trial(
        trial_id(work),
        str(saved["definition"]),
        source.socket,
        exports,
        options.boot_seconds,
        agent=options.boot_sign != "console",
        text="" if options.boot_sign == "agent" else options.boot_text or _LOGIN,
    )
    ours = True
    try:
        found = driver.try_boot(trial, check)
    except errors.LeaseLost:
        ours = False  # whoever has the job now tries the same
        raise
    finally:
        if ours:
            source.end()
    if not found.sign:
        raise errors.StepFailed(
            f"{work.resource.name} did not come up. {found.why}",
            detail=found.console,
            next_action="look at the end of its console in the report; give it more boot_seconds, or another boot_sign",
        )
    return {"came_up": found.sign, "seconds": round(found.seconds, 1)}


def end_trial(driver: Hypervisor, work: Work) -> None:
    """Remove what a trial has left. May be called again."""
    driver.end_trial(trial_id(work))
    if work.saved is not None:
        lent(work, {disk["target"]: None for disk in json.loads(work.saved.saved["disks"])})[0].end()
