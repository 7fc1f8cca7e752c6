# SPDX-License-Identifier: Apache-2.0
"""How are the services of a cloud reached, and what may Karbor do there for a tenant?

The login of the service itself is that of ``[keystone_authtoken]``, unless this section has a login of its own
(``auth_type`` or ``auth_section``, and the options of that way to log in).
"""

from oslo_config import cfg

GROUP = "clients"
OPTS: list[cfg.Opt] = [
    cfg.BoolOpt(
        "cloud_resources",
        default=False,
        help="Whether karbor-protection finds servers, volumes, images, networks, shares and databases of the cloud "
        "behind this Keystone, with the token of whoever asks, and for plans with the trust of their owners.",
    ),
    cfg.StrOpt("region_name", default="", help="Region of the services that are used. Empty: the first that is found."),
    cfg.StrOpt(
        "interface",
        default="public",
        choices=["public", "internal", "admin"],
        help="Which addresses of the catalog are used.",
    ),
    cfg.IntOpt("request_timeout", default=60, min=1, help="Seconds until a service that does not answer is given up."),
    cfg.IntOpt("attempts", default=4, min=1, help="Times that a request is sent whose failure may pass."),
    cfg.FloatOpt(
        "retry_delay", default=0.5, min=0.0, help="Seconds before it is sent a second time; doubled each time."
    ),
    cfg.ListOpt(
        "trust_roles",
        default=["member", "reader"],
        help="Roles that a user hands on to Karbor by a trust, for schedules and for work in the cloud: those of this "
        "list that the user has. The fewest that the services used ask for, with the roles that those imply: Heat "
        "hands on all that it sees.",
    ),
    cfg.ListOpt(
        "restore_targets",
        default=[],
        help="Addresses (auth_url) of the Keystones of other clouds that users may restore to, such as "
        "https://other.example.org:5000/v3. Empty: none; other projects of this cloud can always be restored to.",
    ),
    cfg.StrOpt(
        "login_key_file",
        default="",
        help="File with the keys (one in each line, the first seals) under which the logins of restores into other "
        "clouds, and the hidden parameters of users' stacks, are kept until these end. The same for karbor-api and "
        "karbor-protection; karbor-manage key login makes one. Empty: such restores are refused.",
    ),
    cfg.IntOpt(
        "trust_sweep_interval",
        default=60,
        min=1,
        help="Seconds between two looks of karbor-operationengine for trusts that nothing needs any more, which are "
        "given back, and for permissions that came back.",
    ),
    cfg.IntOpt(
        "trust_check_interval",
        default=3600,
        min=1,
        help="Seconds between two looks whether the permission of a schedule still holds, so that a lost one is shown "
        "before the schedule is due.",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register these options; may be called again."""
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """For oslo-config-generator."""
    return [(GROUP, OPTS)]
