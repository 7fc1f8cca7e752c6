# SPDX-License-Identifier: Apache-2.0
"""Which URL leads where?"""

from karbor.api.node import Item, Node, walk
from karbor.api.v1.checkpoints import AllCheckpoints
from karbor.api.v1.exports import Exports
from karbor.api.v1.operation_logs import OperationLogs
from karbor.api.v1.plans import Plans
from karbor.api.v1.policies import Policies
from karbor.api.v1.protectables import Protectables
from karbor.api.v1.providers import Providers
from karbor.api.v1.quota_classes import QuotaClasses
from karbor.api.v1.quotas import Quotas
from karbor.api.v1.restores import Restores
from karbor.api.v1.scheduled_operations import ScheduledOperations
from karbor.api.v1.services import Services
from karbor.api.v1.trigger_events import Hooks
from karbor.api.v1.triggers import Triggers
from karbor.api.v1.verifications import Verifications
from karbor.api.v1.versions import Document, Version, VersionList
from karbor.schema.types import END, PROJECT_ID


class Project(Node):
    """``/v1/{project_id}``: where the catalog of the cloud points to."""

    below = {
        "plans": Plans,
        "providers": Providers,
        "checkpoints": AllCheckpoints,
        "protectables": Protectables,
        "restores": Restores,
        "verifications": Verifications,
        "exports": Exports,
        "policies": Policies,
        "triggers": Triggers,
        "scheduled_operations": ScheduledOperations,
        "operation_logs": OperationLogs,
        "os-services": Services,
        "quotas": Quotas,
        "quota_classes": QuotaClasses,
    }


class V1(Version):
    """``/v1``"""

    below = {"openapi.json": Document}
    item = Item(
        "project_id",
        {**PROJECT_ID, "pattern": r"^[A-Za-z0-9_.~:@-]{1,255}" + END, "description": "Your project."},
        Project,
    )


class Root(VersionList):
    """``/``"""

    below = {"v1": V1, "hooks": Hooks}


ENDPOINTS = tuple(walk(Root))
