# SPDX-License-Identifier: Apache-2.0
"""How much may a project have that nobody gave limits of its own?"""

from collections.abc import Mapping

from oslo_config import cfg

_END = "-1 is no limit. The quota class named default overrides it for all projects, a quota for one."
OPTS: list[cfg.Opt] = [
    cfg.IntOpt("quota_plans", default=50, min=-1, help=f"Plans of a project. {_END}"),
    cfg.IntOpt("quota_checkpoints", default=-1, min=-1, help=f"Checkpoints of a project. {_END}"),
    cfg.IntOpt(
        "quota_logical_bytes",
        default=-1,
        min=-1,
        help=f"Bytes of all that a project's checkpoints hold, each counted in full. {_END}",
    ),
    cfg.IntOpt(
        "quota_stored_bytes", default=-1, min=-1, help=f"Bytes that a project's checkpoints take in the banks. {_END}"
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register these options; may be called again."""
    conf.register_opts(OPTS)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """For oslo-config-generator."""
    return [("DEFAULT", OPTS)]


def defaults(conf: cfg.ConfigOpts) -> Mapping[str, int]:
    """The configured limit of each kind."""
    return {opt.name.removeprefix("quota_"): conf[opt.name] for opt in OPTS}
