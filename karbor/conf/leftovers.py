# SPDX-License-Identifier: Apache-2.0
"""How is looked for what failed jobs left in a cloud where nobody protects any more?"""

from oslo_config import cfg

GROUP = "leftovers"
OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        "interval",
        default=3600,
        min=0,
        help="Seconds between two looks of a worker for what failed jobs left in the clouds of their projects. 0: only "
        "the next run of a plan of the project removes it, or karbor-manage cloud leftovers.",
    ),
    cfg.IntOpt(
        "hold",
        default=86400,
        min=0,
        help="Seconds after the end of a failed job until its permission is given back, where nobody could look by it "
        "before. 0: at once, as that of other jobs; then only projects with schedules are looked at.",
    ),
    cfg.IntOpt("projects", default=50, min=1, help="Projects that one worker looks at in one interval."),
    cfg.IntOpt("seconds", default=120, min=1, help="For how long it looks and removes in one project."),
    cfg.IntOpt("requests", default=1000, min=1, help="With how many requests at most; the next look goes on."),
]


def hold_of(conf: cfg.ConfigOpts) -> int:
    """Seconds for which the permission of a failed job is held; 0 where nobody would look by it."""
    own = conf[GROUP]
    return int(own.hold) if own.interval and conf.clients.cloud_resources else 0


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register these options; may be called again."""
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """For oslo-config-generator."""
    return [(GROUP, OPTS)]
