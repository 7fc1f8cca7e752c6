# SPDX-License-Identifier: Apache-2.0
"""Which settings do the metrics have?"""

from oslo_config import cfg

OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        "token",
        default="",
        secret=True,
        help="Whoever shows this token (Authorization: Bearer) may read the metrics.",
    ),
    cfg.BoolOpt(
        "public",
        default=False,
        help="Whether anybody who reaches the port may read the metrics. They name plans and projects by id. Without "
        "it and without a token, karbor-api shows them only where auth_strategy is noauth.",
    ),
    cfg.PortOpt(
        "port",
        default=0,
        help="Port where a daemon shows what its own process counts, beside /metrics of karbor-api. 0: none.",
    ),
    cfg.HostAddressOpt(
        "listen",
        default="127.0.0.1",
        help="Address of that port. Any other than a loopback one needs a token, or public.",
    ),
    cfg.IntOpt(
        "plans",
        default=100,
        min=0,
        help="Plans whose age of the last good checkpoint is shown one by one: those that have waited longest.",
    ),
    cfg.IntOpt(
        "cache_seconds",
        default=10,
        min=0,
        help="Seconds for which what was read from the database is shown again. Longer where reading it took long: "
        "at least twenty times that.",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register these options; may be called again."""
    conf.register_opts(OPTS, group="metrics")


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """For oslo-config-generator."""
    return [("metrics", OPTS)]
