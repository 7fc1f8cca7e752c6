# SPDX-License-Identifier: Apache-2.0
"""Who may do what? The rules are declared with the operations; here they get their roles and are evaluated.

Roles: reader sees, member also makes and removes, admin does so in every project. ``member`` implies ``reader`` and
``admin`` implies both. A policy file (``policy.yaml``) may replace each rule.
"""

import threading
from collections.abc import Sequence
from typing import Any

from oslo_config import cfg
from oslo_policy import opts, policy

from karbor.common.context import RequestContext
from karbor.model import errors
from karbor.schema.operation import Endpoint

BASE_RULES = (
    policy.RuleDefault("context_is_admin", "role:admin", "Who is an administrator."),
    policy.RuleDefault(
        "admin_api", "is_admin:True or (role:admin and is_admin_project:True)", "Calls for administrators only."
    ),
    policy.RuleDefault(
        "admin_or_owner", "rule:admin_api or project_id:%(project_id)s", "Administrators, and whose project it is."
    ),
    policy.RuleDefault("default", "rule:admin_or_owner", "Whatever has no rule of its own."),
    policy.RuleDefault(
        "project_reader",
        "rule:admin_api or ((role:reader or role:member) and project_id:%(project_id)s)",
        "Whoever may see what belongs to the project.",
    ),
    policy.RuleDefault(
        "project_member",
        "rule:admin_api or (role:member and project_id:%(project_id)s)",
        "Whoever may change what belongs to the project.",
    ),
)
_CHECKS = {"reader": "rule:project_reader", "member": "rule:project_member", "admin": "rule:admin_api"}


def rules_for(endpoints: Sequence[Endpoint]) -> list[policy.RuleDefault]:
    """The base rules and one documented rule for each operation that needs one."""
    found: list[policy.RuleDefault] = list(BASE_RULES)
    for endpoint in endpoints:
        declared = endpoint.operation
        own = ((declared.rule, declared.role, declared.summary),) if declared.rule is not None else ()
        place = [{"path": endpoint.path, "method": endpoint.method}]
        for name, role, text in (*own, *declared.more_rules):
            found.append(policy.DocumentedRuleDefault(name, _CHECKS[role], text, place))
    return found


def list_rules() -> list[policy.RuleDefault]:
    """For oslopolicy-sample-generator."""
    from karbor.api.v1.tree import ENDPOINTS

    return rules_for(ENDPOINTS)


def enforcer() -> policy.Enforcer:
    """For the oslopolicy tools: the rules with what the operator's file changes."""
    conf = cfg.CONF
    conf([], project="karbor")
    return _enforcer(conf, list_rules())


def _enforcer(conf: cfg.ConfigOpts, rules: Sequence[policy.RuleDefault]) -> policy.Enforcer:
    opts.set_defaults(conf, policy_file="policy.yaml")
    made = policy.Enforcer(conf)
    made.register_defaults(list(rules))
    return made


class Policy:
    """Evaluates the rules. ``_lock`` guards them: while a changed policy file is loaded, rules are missing."""

    def __init__(self, conf: cfg.ConfigOpts, endpoints: Sequence[Endpoint]) -> None:
        self._enforcer = _enforcer(conf, rules_for(endpoints))
        self._lock = threading.Lock()

    def check(self, rule: str, context: RequestContext, *, project_id: str) -> None:
        """Raise Forbidden unless ``context`` may do ``rule`` with a thing of ``project_id``."""
        credentials: dict[str, Any] = {
            "user_id": context.user_id,
            "project_id": context.project_id,
            "roles": context.roles,
            "is_admin": context.is_admin,
            "is_admin_project": context.is_admin_project,
            "system_scope": context.system_scope,
        }
        with self._lock:
            allowed = self._enforcer.enforce(rule, {"project_id": project_id}, credentials)
        if not allowed:
            raise errors.Forbidden(f"You are not allowed to do this: {rule}.")
