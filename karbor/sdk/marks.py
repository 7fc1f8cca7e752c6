# SPDX-License-Identifier: Apache-2.0
"""By what is known which restore made a thing in a cloud, and what of a thing is only that?"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

#: What every mark begins with.
MARK = "karbor-"


def mark_of(restore_id: str, name: str) -> str:
    """The mark of the resource ``name`` of one restore: at most 60 characters, as many as a tag of Nova may have."""
    return f"{MARK}{restore_id.replace('-', '')[:32]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def is_mark(text: Any) -> bool:
    """Whether it is the mark of any restore."""
    return str(text).startswith(MARK)


def tags_without_marks(tags: Iterable[str] | None) -> list[str]:
    """What a tenant gave of these tags."""
    return [tag for tag in tags or () if not is_mark(tag)]


def metadata_without_marks(metadata: Mapping[str, str] | None) -> dict[str, str]:
    """What a tenant gave of this metadata: no name of his begins as ours do."""
    return {name: value for name, value in (metadata or {}).items() if not name.startswith("karbor")}
