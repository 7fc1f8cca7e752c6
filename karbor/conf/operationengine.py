# SPDX-License-Identifier: Apache-2.0
"""Which settings do triggers and schedules have?"""

from oslo_config import cfg

OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        "min_interval",
        default=3600,
        min=60,
        help="Seconds that must lie between two runs of a time trigger.",
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
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register these options; may be called again."""
    conf.register_opts(OPTS)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """For oslo-config-generator."""
    return [("DEFAULT", OPTS)]
