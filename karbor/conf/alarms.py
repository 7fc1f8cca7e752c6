# SPDX-License-Identifier: Apache-2.0
"""When is an alarm raised about a plan without a good checkpoint, and who is told how?"""

from oslo_config import cfg

OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        "interval",
        default=20,
        min=1,
        max=30,
        help="Seconds between two looks at all plans of which anything is promised. One engine looks at a time.",
    ),
    cfg.IntOpt(
        "grace",
        default=3600,
        min=0,
        help="Seconds that a checkpoint may take, behind the window of its planned time, until its schedule has broken "
        "its promise. Longer than the longest backup, or alarms are raised while it runs.",
    ),
    cfg.IntOpt(
        "message_interval",
        default=60,
        min=1,
        help="Seconds that lie at least between two mails, and between two webhook requests. What happens meanwhile is "
        "told of together.",
    ),
    cfg.IntOpt(
        "message_plans", default=100, min=1, max=1000, help="Alarms in one message; of the rest it says the number."
    ),
    cfg.IntOpt("keep_hours", default=72, min=1, help="Hours after which what could not be sent is given up."),
    cfg.IntOpt("timeout", default=10, min=1, max=60, help="Seconds for the mail server, or the webhook, to answer."),
    cfg.HostAddressOpt("mail_host", default=None, help="Mail server. No mail is sent without it, or without mail_to."),
    cfg.PortOpt("mail_port", default=25, help="Its port."),
    cfg.StrOpt(
        "mail_security",
        default="starttls",
        choices=("starttls", "tls", "none"),
        help="How the connection to it is made safe. Its certificate must be one that this host trusts.",
    ),
    cfg.StrOpt("mail_user", default="", help="Name for a login there; none without it."),
    cfg.StrOpt("mail_password", default="", secret=True, help="Its password."),
    cfg.StrOpt("mail_from", default="karbor@localhost", help="Sender of the mails."),
    cfg.ListOpt("mail_to", default=[], help="Who gets them."),
    cfg.StrOpt(
        "webhook_url",
        default="",
        secret=True,
        help="Address to which alarms are sent by POST, as JSON. An answer of 2xx means that they were taken.",
    ),
    cfg.StrOpt(
        "webhook_secret",
        default="",
        secret=True,
        help="With it, the header X-Karbor-Signature holds sha256= and the HMAC of the body, in hexadecimal digits.",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register these options; may be called again."""
    conf.register_opts(OPTS, group="alarms")


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """For oslo-config-generator."""
    return [("alarms", OPTS)]
