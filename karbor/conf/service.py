# SPDX-License-Identifier: Apache-2.0
"""Which settings do all our processes share?"""

import socket

from oslo_config import cfg

OPTS: list[cfg.Opt] = [
    cfg.HostAddressOpt(
        "host",
        default=socket.gethostname(),
        sample_default="<name of this host>",
        help="Name of this host; unique among all workers.",
    ),
    cfg.StrOpt("state_path", default="/var/lib/karbor", help="Directory for files of the service that must survive."),
    cfg.IntOpt(
        "report_interval", default=10, min=1, help="Seconds between two signs of life of a service in the database."
    ),
    cfg.IntOpt("service_down_time", default=60, min=2, help="Seconds without a sign of life until a service is down."),
    cfg.IntOpt(
        "rpc_answer_timeout",
        default=60,
        min=1,
        help="Seconds the API waits for an answer of a worker (listing the live inventory).",
    ),
]

DATABASE_OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        "connection",
        secret=True,
        default="sqlite:////var/lib/karbor/karbor.sqlite",
        help="SQLAlchemy URL of the database: sqlite, mysql+pymysql or postgresql+psycopg2.",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register these options; may be called again."""
    conf.register_opts(OPTS)
    conf.register_opts(DATABASE_OPTS, group="database")


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """For oslo-config-generator."""
    return [("DEFAULT", OPTS), ("database", DATABASE_OPTS)]
