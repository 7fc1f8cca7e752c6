# SPDX-License-Identifier: Apache-2.0
"""Which settings does karbor-api have?"""

from oslo_config import cfg
from oslo_middleware import cors, http_proxy_to_wsgi

OPTS = [
    cfg.HostAddressOpt(
        "osapi_karbor_listen",
        default="127.0.0.1",
        help="Address to listen on. Loopback by default: whoever opens the service to others chooses a login first.",
    ),
    cfg.PortOpt("osapi_karbor_listen_port", default=8799, help="Port to listen on; 0 takes a free one."),
    cfg.IntOpt(
        "osapi_max_limit",
        default=1000,
        min=1,
        help="Most things on one page of a list; also the number where a request names none.",
    ),
    cfg.StrOpt(
        "osapi_karbor_base_URL",
        default="",
        help="Address under which clients reach this service, for links. Empty: as the request says.",
    ),
    cfg.StrOpt(
        "auth_strategy",
        default="noauth",
        choices=[
            ("noauth", "Everybody is an administrator; only on a loopback address."),
            ("http_basic", "User name and password, checked against http_basic_auth_user_file."),
            ("keystone", "Tokens of Keystone."),
        ],
        help="How callers prove who they are.",
    ),
    cfg.StrOpt(
        "http_basic_auth_user_file",
        default="",
        help="File of users for http_basic: one line name:bcrypt-hash:project-id:role,role for each.",
    ),
    cfg.IntOpt(
        "max_request_body_size", default=1024 * 1024, min=1024, help="Bytes of the largest request body that is taken."
    ),
    cfg.IntOpt(
        "api_threads",
        default=16,
        min=2,
        help="Requests that one process answers at the same time; more wait. Threads: most of their time is waiting.",
    ),
    cfg.IntOpt(
        "project_concurrent_requests",
        default=12,
        min=0,
        help="Requests of one project that a process answers at the same time, so that a project whose calls wait for "
        "something slow leaves threads to the others. More are refused (413, with Retry-After). 0: no bound.",
    ),
    cfg.IntOpt(
        "project_work_per_minute",
        default=600,
        min=0,
        help="Calls of one project that begin work (checkpoint, restore, verification, copy) which a process takes in "
        "a minute; as many may come at once. More are refused (413, with Retry-After). 0: no bound.",
    ),
    cfg.IntOpt(
        "failed_logins_per_minute",
        default=60,
        min=0,
        help="Wrong passwords (http_basic) of one client address in a minute; as many may come at once. Then that "
        "address waits before its next password is looked at. 0: no bound.",
    ),
    cfg.StrOpt(
        "response_validation",
        default="ignore",
        choices=["ignore", "warn", "error"],
        help="What happens when an answer does not have its declared shape. The check costs time on long lists.",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register these options and those of the layers around the API; may be called again."""
    set_defaults()
    conf.register_opts(OPTS)
    conf.register_opts(cors.OPTS, group="cors")
    conf.register_opts(http_proxy_to_wsgi.OPTS, group="oslo_middleware")


def set_defaults() -> None:
    """What a page of another origin needs, once ``[cors] allowed_origin`` names that origin."""
    cors.set_defaults(
        allow_headers=[
            "X-Auth-Token",
            "X-OpenStack-Request-ID",
            "Authorization",
            "If-Match",
            "If-None-Match",
            "Idempotency-Key",
        ],
        expose_headers=["X-OpenStack-Request-ID", "ETag", "Retry-After", "WWW-Authenticate"],
        allow_methods=["GET", "HEAD", "POST", "PUT", "DELETE"],
    )


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """For oslo-config-generator."""
    return [("DEFAULT", OPTS)]
