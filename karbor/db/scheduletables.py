# SPDX-License-Identifier: Apache-2.0
"""Which tables say what is done by itself: when, by whose permission, as a policy offers it, and what became of it?

Their indexes follow the rule of karbor.db.tables.
"""

import sqlalchemy as sa

from karbor.db.columns import Moment, identifier, long_text, text
from karbor.db.metadata import counter, flag, json_column, table, times

TRIGGERS = table(
    "triggers",
    sa.Column("id", identifier(), primary_key=True),
    sa.Column("project_id", identifier(), nullable=False),
    sa.Column("name", text(255), nullable=False),
    sa.Column("type", text(64), nullable=False),
    json_column("properties"),
    *times(),
    # 0: nobody has looked when it fires; -1: that could not be found out; NULL: never again. See fires.py.
    sa.Column("next_fire_ms", sa.BigInteger, server_default="0"),
    counter("revision"),
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
    json_column("operation_definition"),
    sa.Column("enabled", sa.SmallInteger, nullable=False),
    *times(),
    counter("since_ms"),  # times of its trigger before this are not its own: it was not there, or not enabled
    sa.Column("trust_id", identifier()),
    sa.Column("permission_reason", long_text()),  # why it is lost; NULL: it is not
    sa.Column("permission_since", Moment),
    counter("permission_checked_ms"),
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
    json_column("definition"),
    sa.Column("status", text(32), nullable=False),
    flag("manual", "0"),
    sa.Column("reason", long_text()),
    json_column("result"),
    counter("attempts", sa.Integer),
    sa.Column("owner", text(255)),
    counter("fence"),
    counter("lease_until_ms"),
    counter("not_before_ms"),
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
    counter("due_ms"),
    sa.Column("outcome", text(32), nullable=False),
    sa.Column("reason", long_text()),
    counter("runs", sa.Integer),
    sa.Index("trigger_events_trigger_at", "trigger_id", "at", "id"),
    sa.Index("trigger_events_trigger_outcome", "trigger_id", "outcome", "at", "id"),
    sa.Index("trigger_events_trigger_id", "trigger_id", "id"),
    sa.Index("trigger_events_at", "at", "id"),
)

# Scheduled operations whose last run failed: how often in a row, and until when they are not begun because of that.
BREAKERS = table(
    "breakers",
    sa.Column("scheduled_operation_id", identifier(), primary_key=True),
    counter("failures", sa.Integer),
    counter("paused_until_ms"),
)

# What an administrator offers to all projects.
POLICIES = table(
    "policies",
    sa.Column("id", identifier(), primary_key=True),
    sa.Column("name", text(255), nullable=False),
    sa.Column("description", text(255)),
    json_column("schedules"),
    *times(),
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
    counter("created_ms"),
    json_column("message"),
    sa.Index("alarm_messages_channel", "channel", "created_ms", "id"),
)

ALARM_CHANNELS = table(
    "alarm_channels",
    sa.Column("id", text(32), primary_key=True),
    counter("not_before_ms"),
    counter("failures", sa.Integer),
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
    counter("tried_ms"),  # when somebody last tried to give it back
    sa.Column("swept_at", Moment),  # when somebody looked by it for what failed jobs left; NULL: never
    counter("sweep_tried_ms"),  # when somebody last began to
    sa.Index("trusts_trust", "trust_id"),
)
