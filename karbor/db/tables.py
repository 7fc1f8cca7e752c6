# SPDX-License-Identifier: Apache-2.0
"""Which tables and indexes does the newest schema have? The migrations lead to exactly this; a test compares them.

Every list has an index for each of its sort orders, and for each of its filters with the order by time; the id
is the last column of each, because it breaks ties. A filter that leaves few rows (a plan, a checkpoint) needs no index
together with the project: see ``Listing.narrow``.
"""

import sqlalchemy as sa

from karbor.db import flowtables, scheduletables  # noqa: F401 - their tables belong to the schema
from karbor.db.columns import Json, Moment, identifier, long_text, text
from karbor.db.metadata import METADATA as METADATA
from karbor.db.metadata import counter, flag, json_column, table, times

PLANS = table(
    "plans",
    sa.Column("id", identifier(), primary_key=True),
    sa.Column("project_id", identifier(), nullable=False),
    sa.Column("name", text(255), nullable=False),
    sa.Column("description", text(255)),
    sa.Column("provider_id", identifier(), nullable=False),
    sa.Column("status", text(32), nullable=False),
    json_column("resources"),
    json_column("parameters"),
    *times(),
    sa.Column("rpo", sa.Integer),  # seconds that its last good checkpoint may be old; NULL: as its schedules promise
    sa.Column("policy_id", identifier()),  # the published policy that makes its schedules
    sa.Column("selection", Json),  # NULL: none
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
    counter("checkpoints", sa.Integer),
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
    json_column("schemas"),
    sa.Column("available", sa.Boolean, nullable=False),
    sa.Column("reason", long_text(), nullable=False),
    sa.Column("bank_identity", long_text()),
    *times(),
    flag("acts_in_cloud", "0"),
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
    json_column("plan"),
    sa.Column("graph", Json),
    json_column("extra_info"),
    sa.Column("consistency", text(32)),
    sa.Column("mode", text(32)),
    sa.Column("size_logical", sa.BigInteger, nullable=False),
    sa.Column("size_read", sa.BigInteger, nullable=False),
    sa.Column("size_stored", sa.BigInteger, nullable=False),
    json_column("progress"),
    sa.Column("reason", Json),
    *times(),
    sa.Column("finished_at", Moment),
    sa.Column("base_id", identifier()),
    sa.Column("source_id", identifier()),
    sa.Column("verified_at", Moment),
    sa.Column("verified_level", text(32)),
    sa.Column("lock_mode", text(32)),
    sa.Column("locked_until", Moment),
    flag("held", "0"),
    sa.Column("held_reason", long_text()),
    sa.Column("chosen", Json),  # NULL: its plan chooses nothing
    sa.Column("cost", Json),  # NULL: it uses nothing of any quota of a cloud
    flag("deleted", "0"),  # 1 for a tombstone: with it, an index leads past the tombstones
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
    json_column("saved"),
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
    json_column("parameters"),
    json_column("resources_status"),
    json_column("resources_reason"),
    json_column("progress"),
    *times(),
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

#: Of restores into other clouds, until they end: never in clear, and apart from what is shown of a restore.
RESTORE_LOGINS = table(
    "restore_logins",
    sa.Column("restore_id", identifier(), sa.ForeignKey("restores.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("sealed", long_text(), nullable=False),
)

VERIFICATIONS = table(
    "verifications",
    sa.Column("id", identifier(), primary_key=True),
    sa.Column("project_id", identifier(), nullable=False),
    sa.Column("provider_id", identifier(), nullable=False),
    sa.Column("checkpoint_id", identifier(), nullable=False),
    sa.Column("status", text(32), nullable=False),
    json_column("parameters"),
    json_column("resources_status"),
    json_column("resources_reason"),
    sa.Column("report", Json),
    json_column("progress"),
    *times(),
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
    json_column("streams"),
    sa.Column("reason", long_text()),
    *times(),
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
    json_column("payload"),
    sa.Column("owner", text(255)),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.Column("lease_until_ms", sa.BigInteger, nullable=False),
    sa.Column("not_before_ms", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("cancel_requested", sa.Boolean, nullable=False),
    sa.Column("request_id", text(255)),
    *times(),
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

#: What a job needs done by the worker of another host, until that one has answered and the job has seen it.
HOST_STEPS = table(
    "host_steps",
    sa.Column("id", identifier(), primary_key=True),
    sa.Column("job_id", identifier(), sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.Column("host", text(255), nullable=False),
    sa.Column("phase", text(32), nullable=False),
    sa.Column("resource", long_text(), nullable=False),
    sa.Column("state", text(32), nullable=False),
    json_column("results"),
    sa.Column("answer", Json),
    sa.Column("fault", Json),
    sa.Column("progress", Json),
    sa.Column("owner", text(255)),
    sa.Column("lease_until_ms", sa.BigInteger, nullable=False),
    sa.Column("stopping", sa.Boolean, nullable=False),
    *times(),
    sa.Index("host_steps_host", "host", "state", "created_at", "id"),
    sa.Index("host_steps_job", "job_id"),
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
    json_column("extra_info"),
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
    *times(),
    flag("disabled", "0"),
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
    counter("plans"),
    counter("checkpoints"),
    counter("logical_bytes"),
    counter("stored_bytes"),
)
