# SPDX-License-Identifier: Apache-2.0
"""Who may do what? The rules are declared with the operations; here they get their roles and are evaluated.

Roles: reader sees, member also makes and removes, admin does so in every project. A token for the whole system
(``system_scope:all``) belongs to no project: its reader sees every project, its admin does everything. Each rule is
evaluated against the thing it is about. A policy file (``policy.yaml``) may replace each rule.
"""

import threading
from collections.abc import Sequence
from typing import Any

from oslo_config import cfg
from oslo_policy import opts, policy

from karbor.common.clock import Clock
from karbor.common.context import RequestContext
from karbor.model import errors
from karbor.schema.operation import Endpoint

#: How long a changed policy file may go unnoticed, and how many verdicts are remembered for as long.
REMEMBER_SECONDS = 1.0
REMEMBER = 10_000
BASE_RULES = (
    policy.RuleDefault("context_is_admin", "role:admin", "Who is an administrator."),
    policy.RuleDefault(
        "admin_api",
        "is_admin:True or (rule:context_is_admin and (is_admin_project:True or system_scope:all))",
        "Calls for administrators only.",
    ),
    policy.RuleDefault("system_reader", "role:reader and system_scope:all", "Whoever may look at the whole system."),
    policy.RuleDefault("all_projects", "rule:admin_api or rule:system_reader", "Whoever sees things of all projects."),
    policy.RuleDefault(
        "admin_or_owner", "rule:admin_api or project_id:%(project_id)s", "Administrators, and whose project it is."
    ),
    policy.RuleDefault("default", "rule:admin_or_owner", "Whatever has no rule of its own."),
    policy.RuleDefault(
        "project_reader",
        "rule:all_projects or ((role:reader or role:member) and project_id:%(project_id)s)",
        "Whoever may see what belongs to the project.",
    ),
    policy.RuleDefault(
        "project_member",
        "rule:admin_api or (role:member and project_id:%(project_id)s)",
        "Whoever may change what belongs to the project.",
    ),
)
_CHECKS = {"reader": "rule:project_reader", "member": "rule:project_member", "admin": "rule:admin_api"}
_SCOPES = ["project", "system"]


def rules_for(endpoints: Sequence[Endpoint]) -> list[policy.RuleDefault]:
    """The base rules and one documented rule for each operation that needs one."""
    found: list[policy.RuleDefault] = list(BASE_RULES)
    for endpoint in endpoints:
        declared = endpoint.operation
        own = ((declared.rule, declared.role, declared.summary),) if declared.rule is not None else ()
        place: list[policy.Operation] = [{"path": endpoint.path, "method": endpoint.method}]
        for name, role, text in (*own, *declared.more_rules):
            looks = role == "admin" and endpoint.method == "GET"  # what only administrators do, others may look at
            check = "rule:all_projects" if looks else _CHECKS[role]
            found.append(policy.DocumentedRuleDefault(name, check, text, place, scope_types=_SCOPES))
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
    """Evaluates the rules. ``_lock`` guards them: while a changed policy file is loaded, rules are missing.

    oslo.policy looks for changed files and walks the rule on every call, which took half of the time of a short
    request. So a verdict holds for ``REMEMBER_SECONDS``; ``_verdicts`` maps what it follows from to what it was.
    """

    def __init__(self, conf: cfg.ConfigOpts, endpoints: Sequence[Endpoint], *, clock: Clock | None = None) -> None:
        self._enforcer = _enforcer(conf, rules_for(endpoints))
        self._lock = threading.Lock()
        self._clock = clock or Clock()
        self._verdicts: dict[tuple[Any, ...], bool] = {}
        self._since = self._clock.monotonic()

    def check(self, rule: str, context: RequestContext, *, project_id: str) -> None:
        """Raise Forbidden unless ``context`` may do ``rule`` with a thing of ``project_id``."""
        if not self._allows(rule, context, project_id=project_id):
            raise errors.Forbidden(f"You are not allowed to do this: {rule}.")

    def grade(self, context: RequestContext) -> None:
        """Note in ``context`` what holds whichever operation follows: is this an administrator, who sees what?"""
        project_id = str(context.project_id)
        context.is_admin = self._allows("admin_api", context, project_id=project_id)
        context.sees_all_projects = self._allows("all_projects", context, project_id=project_id)

    def _allows(self, rule: str, context: RequestContext, *, project_id: str) -> bool:
        credentials: dict[str, Any] = {
            "user_id": context.user_id,
            "project_id": None if context.system_scope else context.project_id,
            "domain_id": context.domain_id,
            "roles": context.roles,
            "service_roles": context.service_roles,
            "is_admin": context.is_admin,
            "is_admin_project": context.is_admin_project,
            "system_scope": context.system_scope,
            "system": context.system_scope,  # by this name oslo.policy tells the scopes apart
        }
        asked = (rule, project_id, *(tuple(v) if isinstance(v, list) else v for v in credentials.values()))
        with self._lock:
            now = self._clock.monotonic()
            if now - self._since >= REMEMBER_SECONDS or len(self._verdicts) >= REMEMBER:
                self._verdicts.clear()
                self._since = now
            if asked not in self._verdicts:
                self._verdicts[asked] = bool(self._enforcer.enforce(rule, {"project_id": project_id}, credentials))
            return self._verdicts[asked]
