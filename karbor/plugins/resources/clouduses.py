# SPDX-License-Identifier: Apache-2.0
"""What do volumes, their snapshots and images use of the quotas of a project?"""

from karbor.model.cost import Use
from karbor.model.resource import Resource
from karbor.sdk.options import Options, option


class VolumeSettings(Options):
    """Settings of the operator for every plug-in of volumes."""

    snapshots_count: bool = option(
        True, "Whether Cinder counts the size of snapshots as gigabytes: its no_snapshot_gb_quota is not set."
    )


def uses(kind: str, resource: Resource, *, counts: bool = True, passing: bool = False) -> list[Use]:
    """One more volume or snapshot (``volumes``, ``snapshots``) as large as that volume, in the quotas of the project
    and of the volume type. ``counts``: whether its size does."""
    size, type_ = int(resource.extra_info.get("size") or 0), resource.extra_info.get("volume_type")
    amounts = {kind: 1, **({"gigabytes": size} if counts else {})}
    named = {f"{name}_{type_}": amount for name, amount in amounts.items()} if type_ else {}
    return [Use("block_storage", name, amount, passing) for name, amount in {**amounts, **named}.items()]


def image_uses(mebibytes: int) -> list[Use]:
    """One more image of at most that size, for a while."""
    return [Use("image", "image_count_total", 1, True), Use("image", "image_size_total", mebibytes, True)]
