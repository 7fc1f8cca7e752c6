# SPDX-License-Identifier: Apache-2.0
"""Which tables and indexes does the newest schema have? The migrations lead to exactly this; a test compares them.

Every list has an index for each of its sort orders, and for each of its filters with the order by time; the id
is the last column of each, because it breaks ties. A filter that leaves few rows (a plan, a checkpoint) needs no index
together with the project: see ``Listing.narrow``.
"""
# Long because it is one list, and whoever changes the schema must see all of it.

import sqlalchemy as sa

from karbor.db import flowtables  # noqa: F401 - its tables belong to the schema
from karbor.db.columns import Json, Moment, identifier, long_text, text
from karbor.db.metadata import METADATA as METADATA
from karbor.db.metadata import table


def _times() -> tuple[sa.Column, ...]:
    return sa.Column("created_at", Moment, nullable=False), sa.Column("updated_at", Moment)


def _json(name: str) -> sa.Column:
    return sa.Column(name, Json, nullable=False)


def _flag(name: str, default: str) -> sa.Column:
    return sa.Column(name, sa.SmallInteger, nullable=False, server_default=default)


def _count(name: str, kind: type = sa.BigInteger) -> sa.Column:
    return sa.Column(name, kind, nullable=False, server_default="0")


PLANS = table(
    "plans",
    sa.Column("id", identifier(), primary_key=True),
    sa.Column("project_id", identifier(), nullable=False),
    sa.Column("name", text(255), nullable=False),
    sa.Column("description", text(255)),
    sa.Column("provider_id", identifier(), nullable=False),
    sa.Column("status", text(32), nullable=False),
    _json("resources"),
    _json("parameters"),
    *_times(),
    sa.Column("rpo", sa.Integer),  # seconds that its last good checkpoint may be old; NULL: as its schedules promise
    sa.Column("policy_id", identifier()),  # the published policy that makes its schedules
    sa.Index("plans_policy", "policy_id", "id"),
    sa.Index("plans_created", "created_at", "id"),
    sa.Index("plans_project_created", "project_id", "created_at", "id"),
    sa.Index("plans_project_name", "project_id", "name", "id"),
    sa.Index("plans_project_status", "project_id", "status", "id"),
    sa.Index("plans_project_id", "project_id", "id"),
    sa.Index("plans_name", "name", "id"),
    sa.Index("plans_status", "status", "id"),
    sa.Index("plans_status_created", "status", "created_at", "id"),
    sa.Index("plans_project_status_created", "project_id", "status", "created_at", "id"),
)

# Kept in step with the checkpoints by the transactions that change them. A row may outlive its plan.
PLAN_SUMMARIES = table(
    "plan_summaries",
    sa.Column("plan_id", identifier(), primary_key=True),
    sa.Column("project_id", identifier(), nullable=False),
    _count("checkpoints", sa.Integer),
    sa.Column("last_run_id", identifier()),
    sa.Column("last_run_at", Moment),
    sa.Column("last_run_status", text(32)),
    sa.Column("last_good_id", identifier()),
    sa.Column("last_good_at", Moment),
    sa.Index("plan_summaries_project", "project_id"),
)

PROVIDERS = table(
    "providers",
    sa.Column("id", identifier(), primary_key=True),
    sa.Column("name", text(255), nullable=False),
    sa.Column("description", long_text(), nullable=False),
    _json("schemas"),
    sa.Column("available", sa.Boolean, nullable=False),
    sa.Column("reason", long_text(), nullable=False),
    sa.Column("bank_identity", long_text()),
    *_times(),
    _flag("acts_in_cloud", "0"),
    sa.Index("providers_name", "name", "id"),
    sa.Index("providers_created", "created_at", "id"),
)

CHECKPOINTS = table(
    "checkpoints",
    sa.Column("id", identifier(), primary_key=True),
    sa.Column("project_id", identifier(), nullable=False),
    sa.Column("provider_id", identifier(), nullable=False),
    sa.Column("plan_id", identifier(), nullable=False),
    sa.Column("status", text(32), nullable=False),
    _json("plan"),
    sa.Column("graph", Json),
    _json("extra_info"),
    sa.Column("consistency", text(32)),
    sa.Column("mode", text(32)),
    sa.Column("size_logical", sa.BigInteger, nullable=False),
    sa.Column("size_read", sa.BigInteger, nullable=False),
    sa.Column("size_stored", sa.BigInteger, nullable=False),
    _json("progress"),
    sa.Column("reason", Json),
    *_times(),
    sa.Column("finished_at", Moment),
    sa.Column("base_id", identifier()),
    sa.Column("source_id", identifier()),
    sa.Column("verified_at", Moment),
    sa.Column("verified_level", text(32)),
    sa.Column("lock_mode", text(32)),
    sa.Column("locked_until", Moment),
    _flag("held", "0"),
    sa.Column("held_reason", long_text()),
    _flag("deleted", "0"),  # 1 for a tombstone: with it, an index leads past the tombstones
    sa.Index("checkpoints_live", "deleted", "created_at", "id"),
    sa.Index("checkpoints_provider_live", "provider_id", "deleted", "created_at", "id"),
    sa.Index("checkpoints_project_live", "project_id", "deleted", "created_at", "id"),
    sa.Index("checkpoints_owner_live", "project_id", "provider_id", "deleted", "created_at", "id"),
    sa.Index("checkpoints_plan_live", "plan_id", "deleted", "created_at", "id"),
    sa.Index("checkpoints_status_created", "status", "created_at", "id"),
    sa.Index("checkpoints_provider_status_created", "provider_id", "status", "created_at", "id"),
    sa.Index("checkpoints_project_status_created", "project_id", "status", "created_at", "id"),
    sa.Index("checkpoints_owner_status_created", "project_id", "provider_id", "status", "created_at", "id"),
    sa.Index("checkpoints_plan_status_created", "plan_id", "status", "created_at", "id"),
    sa.Index("checkpoints_status", "status", "id"),
    sa.Index("checkpoints_provider_status", "provider_id", "status", "id"),
    sa.Index("checkpoints_project_status", "project_id", "status", "id"),
    sa.Index("checkpoints_owner_status", "project_id", "provider_id", "status", "id"),
    sa.Index("checkpoints_provider_id", "provider_id", "id"),
    sa.Index("checkpoints_project_id", "project_id", "id"),
    sa.Index("checkpoints_owner_id", "project_id", "provider_id", "id"),
    sa.Index("checkpoints_deleted_updated", "deleted", "updated_at"),
    # Counted and summed up without a look at the rows.
    sa.Index("checkpoints_sums", "deleted", "provider_id", "status", "size_logical", "size_read", "size_stored"),
)

CHECKPOINT_RESOURCES = table(
    "checkpoint_resources",
    sa.Column("checkpoint_id", identifier(), sa.ForeignKey("checkpoints.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("resource_key", text(512), nullable=False),
    _json("saved"),
    sa.Index("checkpoint_resources_key", "resource_key", "checkpoint_id"),
)

RESTORES = table(
    "restores",
    sa.Column("id", identifier(), primary_key=True),
    sa.Column("project_id", identifier(), nullable=False),
    sa.Column("provider_id", identifier(), nullable=False),
    sa.Column("checkpoint_id", identifier(), nullable=False),
    sa.Column("status", text(32), nullable=False),
    sa.Column("restore_target", long_text()),
    _json("parameters"),
    _json("resources_status"),
    _json("resources_reason"),
    _json("progress"),
    *_times(),
    sa.Column("finished_at", Moment),
    sa.Index("restores_created", "created_at", "id"),
    sa.Index("restores_project_created", "project_id", "created_at", "id"),
    sa.Index("restores_project_status", "project_id", "status", "id"),
    sa.Index("restores_project_id", "project_id", "id"),
    sa.Index("restores_status", "status", "id"),
    sa.Index("restores_status_created", "status", "created_at", "id"),
    sa.Index("restores_project_status_created", "project_id", "status", "created_at", "id"),
    sa.Index("restores_checkpoint", "checkpoint_id", "created_at", "id"),
)

VERIFICATIONS = table(
    "verifications",
    sa.Column("id", identifier(), primary_key=True),
    sa.Column("project_id", identifier(), nullable=False),
    sa.Column("provider_id", identifier(), nullable=False),
    sa.Column("checkpoint_id", identifier(), nullable=False),
    sa.Column("status", text(32), nullable=False),
    _json("parameters"),
    _json("resources_status"),
    _json("resources_reason"),
    sa.Column("report", Json),
    _json("progress"),
    *_times(),
    sa.Column("finished_at", Moment),
    sa.Index("verifications_created", "created_at", "id"),
    sa.Index("verifications_project_created", "project_id", "created_at", "id"),
    sa.Index("verifications_project_status", "project_id", "status", "id"),
    sa.Index("verifications_project_id", "project_id", "id"),
    sa.Index("verifications_status", "status", "id"),
    sa.Index("verifications_status_created", "status", "created_at", "id"),
    sa.Index("verifications_project_status_created", "project_id", "status", "created_at", "id"),
    sa.Index("verifications_checkpoint", "checkpoint_id", "created_at", "id"),
)

EXPORTS = table(
    "exports",
    sa.Column("id", identifier(), primary_key=True),
    sa.Column("project_id", identifier(), nullable=False),
    sa.Column("provider_id", identifier(), nullable=False),
    sa.Column("checkpoint_id", identifier(), nullable=False),
    sa.Column("status", text(32), nullable=False),
    sa.Column("resource", long_text()),
    sa.Column("stream", text(255)),
    sa.Column("host", text(255)),
    sa.Column("expires_at", Moment, nullable=False),
    _json("streams"),
    sa.Column("reason", long_text()),
    *_times(),
    sa.Column("finished_at", Moment),
    sa.Index("exports_created", "created_at", "id"),
    sa.Index("exports_project_created", "project_id", "created_at", "id"),
    sa.Index("exports_project_status", "project_id", "status", "id"),
    sa.Index("exports_project_id", "project_id", "id"),
    sa.Index("exports_status", "status", "id"),
    sa.Index("exports_status_created", "status", "created_at", "id"),
    sa.Index("exports_project_status_created", "project_id", "status", "created_at", "id"),
    sa.Index("exports_checkpoint", "checkpoint_id", "created_at", "id"),
)

JOBS = table(
    "jobs",
    sa.Column("id", identifier(), primary_key=True),
    sa.Column("operation", text(32), nullable=False),
    sa.Column("project_id", identifier(), nullable=False),
    sa.Column("provider_id", identifier(), nullable=False),
    sa.Column("state", text(32), nullable=False),
    sa.Column("checkpoint_id", identifier()),
    sa.Column("restore_id", identifier()),
    sa.Column("host", text(255)),
    _json("payload"),
    sa.Column("owner", text(255)),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.Column("lease_until_ms", sa.BigInteger, nullable=False),
    sa.Column("not_before_ms", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("cancel_requested", sa.Boolean, nullable=False),
    sa.Column("request_id", text(255)),
    *_times(),
    sa.Column("verification_id", identifier()),
    sa.Column("trust_id", identifier()),
    sa.Index("jobs_state_created", "state", "created_at", "id"),
    sa.Index("jobs_state_lease", "state", "lease_until_ms", "id"),
    sa.Index("jobs_checkpoint", "checkpoint_id", "state"),
    sa.Index("jobs_restore", "restore_id", "state"),
    sa.Index("jobs_verification", "verification_id", "state"),
    sa.Index("jobs_state_updated", "state", "updated_at"),
    sa.Index("jobs_state_operation", "state", "operation"),
)

OPERATION_LOGS = table(
    "operation_logs",
    sa.Column("id", identifier(), primary_key=True),
    sa.Column("project_id", identifier(), nullable=False),
    sa.Column("operation_type", text(32), nullable=False),
    sa.Column("checkpoint_id", identifier()),
    sa.Column("plan_id", identifier()),
    sa.Column("provider_id", identifier()),
    sa.Column("restore_id", identifier()),
    sa.Column("scheduled_operation_id", identifier()),
    sa.Column("status", text(32), nullable=False, server_default=""),  # "" for none: a sort key is never NULL
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("ended_at", Moment),
    sa.Column("error_info", long_text()),
    _json("extra_info"),
    sa.Column("verification_id", identifier()),
    sa.Index("operation_logs_started", "started_at", "id"),
    sa.Index("operation_logs_project_started", "project_id", "started_at", "id"),
    sa.Index("operation_logs_project_id", "project_id", "id"),
    sa.Index("operation_logs_checkpoint", "checkpoint_id", "started_at", "id"),
    sa.Index("operation_logs_plan", "plan_id", "started_at", "id"),
    sa.Index("operation_logs_restore", "restore_id", "started_at", "id"),
    sa.Index("operation_logs_verification", "verification_id", "started_at", "id"),
    sa.Index("operation_logs_scheduled_operation", "scheduled_operation_id", "started_at", "id"),
    sa.Index("operation_logs_provider", "provider_id", "started_at", "id"),
    sa.Index("operation_logs_project_provider", "project_id", "provider_id", "started_at", "id"),
    sa.Index("operation_logs_type", "operation_type", "started_at", "id"),
    sa.Index("operation_logs_project_type", "project_id", "operation_type", "started_at", "id"),
    sa.Index("operation_logs_status", "status", "id"),
    sa.Index("operation_logs_project_status", "project_id", "status", "id"),
    sa.Index("operation_logs_status_started", "status", "started_at", "id"),
    sa.Index("operation_logs_project_status_started", "project_id", "status", "started_at", "id"),
)

SERVICES = table(
    "services",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("binary", text(64), nullable=False),
    sa.Column("host", text(255), nullable=False),
    *_times(),
    _flag("disabled", "0"),
    sa.Column("disabled_reason", long_text()),
    sa.Index("services_daemon", "binary", "host", unique=True),
    sa.Index("services_host", "host"),
)

REPEATS = table(
    "repeats",
    sa.Column("project_id", identifier(), primary_key=True),
    sa.Column("key", text(255), primary_key=True),
    sa.Column("path", long_text(), nullable=False),
    sa.Column("body_hash", text(64), nullable=False),
    sa.Column("response", Json),
    sa.Column("created_at", Moment, nullable=False),
    sa.Index("repeats_created", "created_at"),
)

TRIGGERS = table(
    "triggers",
    sa.Column("id", identifier(), primary_key=True),
    sa.Column("project_id", identifier(), nullable=False),
    sa.Column("name", text(255), nullable=False),
    sa.Column("type", text(64), nullable=False),
    _json("properties"),
    *_times(),
    # 0: nobody has looked when it fires; -1: that could not be found out; NULL: never again. See fires.py.
    sa.Column("next_fire_ms", sa.BigInteger, server_default="0"),
    _count("revision"),
    sa.Column("token_hash", text(64)),  # of the secret in the address of a webhook
    sa.Index("triggers_next_fire", "next_fire_ms", "id"),
    sa.Index("triggers_created", "created_at", "id"),
    sa.Index("triggers_name", "name", "id"),
    sa.Index("triggers_type", "type", "created_at", "id"),
    sa.Index("triggers_project_created", "project_id", "created_at", "id"),
    sa.Index("triggers_project_name", "project_id", "name", "id"),
    sa.Index("triggers_project_type", "project_id", "type", "created_at", "id"),
    sa.Index("triggers_project_id", "project_id", "id"),
)

SCHEDULED_OPERATIONS = table(
    "scheduled_operations",
    sa.Column("id", identifier(), primary_key=True),
    sa.Column("project_id", identifier(), nullable=False),
    sa.Column("user_id", text(255), nullable=False),
    sa.Column("name", text(255), nullable=False),
    sa.Column("description", text(255)),
    sa.Column("operation_type", text(64), nullable=False),
    sa.Column("trigger_id", identifier(), nullable=False),
    sa.Column("plan_id", identifier()),
    sa.Column("provider_id", identifier()),
    _json("operation_definition"),
    sa.Column("enabled", sa.SmallInteger, nullable=False),
    *_times(),
    _count("since_ms"),  # times of its trigger before this are not its own: it was not there, or not enabled
    sa.Column("trust_id", identifier()),
    sa.Column("permission_reason", long_text()),  # why it is lost; NULL: it is not
    sa.Column("permission_since", Moment),
    _count("permission_checked_ms"),
    sa.Index("scheduled_operations_trust", "trust_id"),
    sa.Index("scheduled_operations_checked", "permission_checked_ms", "id"),
    sa.Index("scheduled_operations_created", "created_at", "id"),
    sa.Index("scheduled_operations_name", "name", "id"),
    sa.Index("scheduled_operations_type", "operation_type", "created_at", "id"),
    sa.Index("scheduled_operations_enabled", "enabled", "created_at", "id"),
    sa.Index("scheduled_operations_provider", "provider_id", "created_at", "id"),
    sa.Index("scheduled_operations_trigger", "trigger_id", "created_at", "id"),
    sa.Index("scheduled_operations_plan", "plan_id", "created_at", "id"),
    sa.Index("scheduled_operations_project_created", "project_id", "created_at", "id"),
    sa.Index("scheduled_operations_project_name", "project_id", "name", "id"),
    sa.Index("scheduled_operations_project_type", "project_id", "operation_type", "created_at", "id"),
    sa.Index("scheduled_operations_project_enabled", "project_id", "enabled", "created_at", "id"),
    sa.Index("scheduled_operations_project_provider", "project_id", "provider_id", "created_at", "id"),
    sa.Index("scheduled_operations_project_id", "project_id", "id"),
)
# One row for each time of each scheduled operation; the key makes a second one impossible.
SCHEDULED_RUNS = table(
    "scheduled_runs",
    sa.Column("id", identifier(), primary_key=True),
    sa.Column("project_id", identifier(), nullable=False),
    sa.Column("user_id", text(255), nullable=False),
    sa.Column("scheduled_operation_id", identifier(), nullable=False),
    sa.Column("operation_type", text(64), nullable=False),
    sa.Column("scheduled_for", Moment, nullable=False),
    sa.Column("plan_id", identifier()),
    sa.Column("provider_id", identifier()),
    _json("definition"),
    sa.Column("status", text(32), nullable=False),
    _flag("manual", "0"),
    sa.Column("reason", long_text()),
    _json("result"),
    _count("attempts", sa.Integer),
    sa.Column("owner", text(255)),
    _count("fence"),
    _count("lease_until_ms"),
    _count("not_before_ms"),
    sa.Column("begin_until_ms", sa.BigInteger),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("started_at", Moment),
    sa.Column("ended_at", Moment),
    sa.Index("scheduled_runs_time", "scheduled_operation_id", "scheduled_for", unique=True),
    sa.Index("scheduled_runs_scheduled", "scheduled_operation_id", "scheduled_for", "id"),
    sa.Index("scheduled_runs_status", "scheduled_operation_id", "status", "scheduled_for", "id"),
    sa.Index("scheduled_runs_operation_id", "scheduled_operation_id", "id"),
    sa.Index("scheduled_runs_turn", "status", "not_before_ms", "id"),
    sa.Index("scheduled_runs_limit", "status", "begin_until_ms", "id"),
    sa.Index("scheduled_runs_ended", "ended_at", "id"),
)
# One row for each event at each trigger that waits for it; the key makes a second one impossible. See events.py.
TRIGGER_EVENTS = table(
    "trigger_events",
    sa.Column("id", identifier(), primary_key=True),
    sa.Column("trigger_id", identifier(), nullable=False),
    sa.Column("project_id", identifier(), nullable=False),
    sa.Column("source", text(32), nullable=False),
    sa.Column("type", text(255), nullable=False),
    sa.Column("at", Moment, nullable=False),
    _count("due_ms"),
    sa.Column("outcome", text(32), nullable=False),
    sa.Column("reason", long_text()),
    _count("runs", sa.Integer),
    sa.Index("trigger_events_trigger_at", "trigger_id", "at", "id"),
    sa.Index("trigger_events_trigger_outcome", "trigger_id", "outcome", "at", "id"),
    sa.Index("trigger_events_trigger_id", "trigger_id", "id"),
    sa.Index("trigger_events_at", "at", "id"),
)
# Scheduled operations whose last run failed: how often in a row, and until when they are not begun because of that.
BREAKERS = table(
    "breakers",
    sa.Column("scheduled_operation_id", identifier(), primary_key=True),
    _count("failures", sa.Integer),
    _count("paused_until_ms"),
)
# What an administrator offers to all projects.
POLICIES = table(
    "policies",
    sa.Column("id", identifier(), primary_key=True),
    sa.Column("name", text(255), nullable=False),
    sa.Column("description", text(255)),
    _json("schedules"),
    *_times(),
    sa.Index("policies_name", "name", unique=True),
    sa.Index("policies_created", "created_at", "id"),
)
# What a policy made for a plan, by the name (``entry``) that the schedule has in the policy.
POLICY_SCHEDULES = table(
    "policy_schedules",
    sa.Column("scheduled_operation_id", identifier(), primary_key=True),
    sa.Column("trigger_id", identifier(), nullable=False),
    sa.Column("plan_id", identifier(), nullable=False),
    sa.Column("policy_id", identifier(), nullable=False),
    sa.Column("entry", text(64), nullable=False),
    sa.Index("policy_schedules_plan", "plan_id"),
    sa.Index("policy_schedules_policy", "policy_id", "entry"),
    sa.Index("policy_schedules_trigger", "trigger_id"),
)
# How plans stand against what was promised. ``begins_at``: nothing was promised before that.
PLAN_ALARMS = table(
    "plan_alarms",
    sa.Column("plan_id", identifier(), primary_key=True),
    sa.Column("project_id", identifier(), nullable=False),
    sa.Column("state", text(32), nullable=False),
    sa.Column("due_at", Moment),
    sa.Column("since", Moment, nullable=False),
    sa.Column("begins_at", Moment),
    sa.Column("reason", long_text()),
    sa.Index("plan_alarms_state", "state", "plan_id"),
)
# What has to be sent by a channel (mail, webhook), until it is sent.
ALARM_MESSAGES = table(
    "alarm_messages",
    sa.Column("id", identifier(), primary_key=True),
    sa.Column("channel", text(32), nullable=False),
    _count("created_ms"),
    _json("message"),
    sa.Index("alarm_messages_channel", "channel", "created_ms", "id"),
)
ALARM_CHANNELS = table(
    "alarm_channels",
    sa.Column("id", text(32), primary_key=True),
    _count("not_before_ms"),
    _count("failures", sa.Integer),
)
# Plans that somebody suspended after they had been started. A plan that was never started is no such one: clients of
# old leave every plan as it was made, and expect its schedules to run.
PAUSED_PLANS = table("paused_plans", sa.Column("plan_id", identifier(), primary_key=True))
# The trusts that were asked for. ``trust_id`` is NULL until Keystone's answer is known: a trust whose id nobody heard
# of is found by its name, which holds the id of the row.
TRUSTS = table(
    "trusts",
    sa.Column("id", identifier(), primary_key=True),
    sa.Column("trust_id", identifier()),
    sa.Column("project_id", identifier(), nullable=False),
    sa.Column("user_id", text(255), nullable=False),
    sa.Column("scheduled_operation_id", identifier()),
    sa.Column("created_at", Moment, nullable=False),
    _count("tried_ms"),  # when somebody last tried to give it back
    sa.Index("trusts_trust", "trust_id"),
)
# A row is locked by who must be alone in something.
TURNS = table("turns", sa.Column("name", text(64), primary_key=True))

QUOTAS = table(
    "quotas",
    sa.Column("project_id", identifier(), primary_key=True),
    sa.Column("kind", text(32), primary_key=True),
    sa.Column("hard_limit", sa.BigInteger, nullable=False),
)

QUOTA_CLASSES = table(
    "quota_classes",
    sa.Column("name", text(255), primary_key=True),
    sa.Column("kind", text(32), primary_key=True),
    sa.Column("hard_limit", sa.BigInteger, nullable=False),
)

# One row for each project: what it has is counted by the transactions that change it, and locked as one thing.
QUOTA_USAGES = table(
    "quota_usages",
    sa.Column("project_id", identifier(), primary_key=True),
    _count("plans"),
    _count("checkpoints"),
    _count("logical_bytes"),
    _count("stored_bytes"),
)
