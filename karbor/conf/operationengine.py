# SPDX-License-Identifier: Apache-2.0
"""Which settings do triggers, schedules and the engines that follow them have?"""

from oslo_config import cfg

OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        "min_interval",
        default=3600,
        min=60,
        help="Seconds that must lie between two runs of a time trigger.",
    ),
    cfg.IntOpt(
        "tenant_min_interval",
        default=0,
        min=0,
        help="The same for triggers that tenants make themselves, where it is more than min_interval. Published "
        "policies, and those who may exceed the limits of tenants (see the policy file), go by min_interval.",
    ),
    cfg.ListOpt(
        "tenant_operation_types",
        default=[],
        help="Types of operations that tenants may schedule themselves; empty: all of them.",
    ),
    cfg.IntOpt(
        "tenant_max_schedules",
        default=0,
        min=0,
        help="Scheduled operations that a project may make itself; those of published policies do not count. 0: no "
        "bound.",
    ),
    cfg.IntOpt(
        "min_window_time",
        default=900,
        min=1,
        help="Shortest window of a time trigger in seconds, and the window of one that names none. Within its window "
        "a run that could not begin at its time still begins.",
    ),
    cfg.IntOpt(
        "max_window_time",
        default=1800,
        min=2,
        help="Longest window of a time trigger in seconds. It must be more than min_window_time, and at most half of "
        "min_interval.",
    ),
    cfg.IntOpt(
        "event_interval",
        default=60,
        min=0,
        help="Seconds that lie at least between two lots of runs which events start at one trigger. Events that come "
        "meanwhile are taken together.",
    ),
    cfg.IntOpt(
        "webhook_per_minute",
        default=60,
        min=0,
        help="Requests in a minute that one process takes at the address of one webhook; 0: no bound.",
    ),
]

ENGINE_OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        "api_url",
        default="",
        help="Address of karbor-api without version, as the engine reaches it. Empty: the API of the same process, or "
        "the address and port that the settings of karbor-api name.",
    ),
    cfg.StrOpt(
        "username",
        default="",
        help="Name under which the engine logs in where auth_strategy is http_basic: a user of the project *.",
    ),
    cfg.StrOpt("password", default="", secret=True, help="Its password."),
    cfg.FloatOpt("poll", default=1.0, min=0.05, help="Seconds between two looks at what is due."),
    cfg.IntOpt(
        "lease",
        default=120,
        min=2,
        help="Seconds that an engine has for one step of a run (a request, a few deletes) until another takes it over.",
    ),
    cfg.IntOpt("request_timeout", default=60, min=1, help="Seconds that a request may take; less than half of lease."),
    cfg.IntOpt("threads", default=8, min=1, help="Requests that one engine makes at the same time."),
    cfg.FloatOpt("watch", default=5.0, min=0.05, help="Seconds between two looks at a run that is under way."),
    cfg.IntOpt(
        "retry_delay",
        default=10,
        min=1,
        help="Seconds before a request that failed is sent again, and before a run is begun anew; doubled each time, "
        "up to 64 times as long.",
    ),
    cfg.IntOpt(
        "project_runs", default=10, min=0, help="Scheduled runs of one project that are under way at once; 0: no bound."
    ),
    cfg.IntOpt(
        "provider_runs",
        default=100,
        min=0,
        help="Scheduled runs of one provider that are under way at once; 0: no bound.",
    ),
    cfg.IntOpt(
        "keep_runs",
        default=400,
        min=0,
        help="Days that what became of a planned time or of an event stays to be seen; 0: for ever.",
    ),
    cfg.IntOpt(
        "breaker_failures",
        default=5,
        min=0,
        help="After so many failed runs one after the other a scheduled operation rests; 0: never.",
    ),
    cfg.IntOpt(
        "breaker_pause",
        default=3600,
        min=1,
        help="Seconds of that rest. The first run behind it is a trial: it ends the matter, or doubles the rest, up to "
        "a day.",
    ),
    cfg.ListOpt(
        "notification_topics",
        default=[],
        help="Topics of oslo.messaging on which other services tell what happens, such as notifications. Triggers of "
        "type notification see nothing where it is empty. The broker is that of oslo_messaging_notifications.",
    ),
    cfg.ListOpt(
        "notification_exchanges",
        default=["nova", "cinder", "glance", "neutron", "manila", "trove"],
        help="Exchanges (control_exchange of those services) in which the topics are listened to.",
    ),
    cfg.StrOpt(
        "notification_pool",
        default="karbor",
        help="Name of the queues that all engines share: each notification reaches one of them, and other listeners "
        "of the topics lose nothing.",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register these options; may be called again."""
    conf.register_opts(OPTS)
    conf.register_opts(ENGINE_OPTS, group="operationengine")


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """For oslo-config-generator."""
    return [("DEFAULT", OPTS), ("operationengine", ENGINE_OPTS)]
