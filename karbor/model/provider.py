# SPDX-License-Identifier: Apache-2.0
"""What does the API need to know of a provider without loading its plug-ins?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class ProviderInfo:
    """A provider as a worker describes it in the database when it starts.

    ``schemas`` holds options_schema, restore_schema, saved_info_schema, verify_schema and copy_schema, each a map of
    resource type to JSON Schema. ``available`` tells whether its bank could be used when a worker last looked, and
    ``reason`` why not. ``acts_in_cloud``: some of its plug-ins ask services of a cloud on behalf of the tenant.
    """

    id: str
    name: str
    description: str = ""
    schemas: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    available: bool = True
    reason: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    acts_in_cloud: bool = False

    @property
    def resource_types(self) -> frozenset[str]:
        return frozenset(self.schemas.get("options_schema", {}))
