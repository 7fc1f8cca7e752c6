# SPDX-License-Identifier: Apache-2.0
"""Which settings does karbor-api have?"""

from oslo_config import cfg

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
    cfg.StrOpt(
        "response_validation",
        default="ignore",
        choices=["ignore", "warn", "error"],
        help="What happens when an answer does not have its declared shape. The check costs time on long lists.",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register these options; may be called again."""
    conf.register_opts(OPTS)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """For oslo-config-generator."""
    return [("DEFAULT", OPTS)]
