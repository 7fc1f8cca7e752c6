# SPDX-License-Identifier: Apache-2.0
"""How does a person hear of an alarm: by mail, or by whatever listens at an address?

A message is sent once, as a rule; twice where an engine died before it could write down that it was sent. The id of
each entry tells.
"""

import hashlib
import hmac
import json
import smtplib
import ssl
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any

import requests
from oslo_config import cfg

from karbor.model import errors

VERSION = "1.0"
SIGNATURE = "X-Karbor-Signature"
Told = Sequence[Mapping[str, Any]]


class Channel(ABC):
    """A way to tell of alarms. Used by one thread."""

    name: str

    @abstractmethod
    def send(self, told: Told, *, more: int) -> None:
        """Tell of these; so many ``more`` wait. Raises Unavailable where they were not taken: they are sent again."""


class Mail(Channel):
    """One mail for all of them."""

    name = "mail"

    def __init__(self, own: Any) -> None:
        self._own = own

    def send(self, told: Told, *, more: int) -> None:
        own = self._own
        try:
            with self._connect() as server:
                if own.mail_security == "starttls":
                    server.starttls(context=ssl.create_default_context())
                if own.mail_user:
                    server.login(own.mail_user, own.mail_password)
                server.send_message(mail(told, more=more, sender=own.mail_from, to=own.mail_to))
        except (smtplib.SMTPException, OSError) as fault:
            raise errors.Unavailable("The mail was not taken.", detail=str(fault)) from fault

    def _connect(self) -> smtplib.SMTP:
        own = self._own
        if own.mail_security == "tls":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(own.mail_host, own.mail_port, timeout=own.timeout, context=context)
        return smtplib.SMTP(own.mail_host, own.mail_port, timeout=own.timeout)


class Webhook(Channel):
    """One request for all of them."""

    name = "webhook"

    def __init__(self, url: str, secret: str, *, timeout: float) -> None:
        self._url = url
        self._secret = secret.encode()
        self._timeout = timeout

    def send(self, told: Told, *, more: int) -> None:
        body = json.dumps({"version": VERSION, "alarms": list(told), "more": more}).encode()
        headers = {"Content-Type": "application/json", "User-Agent": "karbor"}
        if self._secret:
            headers[SIGNATURE] = f"sha256={hmac.new(self._secret, body, hashlib.sha256).hexdigest()}"
        try:
            answer = requests.post(
                self._url, data=body, headers=headers, timeout=self._timeout, allow_redirects=False, stream=True
            )
            answer.close()
        except (requests.RequestException, ValueError) as fault:
            # The text of the fault names the address, which may hold a secret.
            raise errors.Unavailable("The webhook did not answer.", detail=type(fault).__name__) from None
        if not 200 <= answer.status_code < 300:
            raise errors.Unavailable(f"The webhook answered {answer.status_code}.")


def open_channels(conf: cfg.ConfigOpts) -> list[Channel]:
    """Those that the settings ask for."""
    own = conf.alarms
    found: list[Channel] = []
    if own.mail_host and own.mail_to:
        found.append(Mail(own))
    if own.webhook_url:
        found.append(Webhook(own.webhook_url, own.webhook_secret, timeout=own.timeout))
    return found


def mail(told: Told, *, more: int, sender: str, to: Sequence[str]) -> EmailMessage:
    """The mail: what was raised first, then what is over."""
    raised = [one for one in told if one["event"] == "raised"]
    cleared = [one for one in told if one["event"] != "raised"]
    first = (raised or cleared)[0]
    rest = f" and {len(told) - 1 + more} more" if len(told) + more > 1 else ""
    found = EmailMessage()
    found["From"], found["To"] = sender, ", ".join(to)
    found["Date"], found["Message-ID"] = formatdate(), make_msgid(domain="karbor.invalid")
    found["Auto-Submitted"] = "auto-generated"  # no answer of an absent reader
    what = "no recent checkpoint" if raised else "protected again"
    found["Subject"] = f"[karbor] {what}: {_line(first['plan_name'])}{rest}"
    paragraphs = [*map(_paragraph, raised), *map(_paragraph, cleared)]
    if more:
        paragraphs.append(f"{more} more wait to be told of.")
    found.set_content("\n\n".join(paragraphs) + "\n")
    return found


def _paragraph(one: Mapping[str, Any]) -> str:
    head = "NO RECENT CHECKPOINT" if one["event"] == "raised" else "Protected again"
    lines = [f"{head}: plan {_line(one['plan_name'])} ({one['plan_id']}) of project {one['project_id']}"]
    lines += [f"  since: {one['due_at']} UTC"] if one["event"] == "raised" and one["due_at"] else []
    lines.append(f"  last good checkpoint: {one['last_good_at'] or 'none'}" + (" UTC" if one["last_good_at"] else ""))
    return "\n".join([*lines, f"  {_line(one['reason'])}"] if one["reason"] else lines)


def _line(text: str) -> str:
    """Names are chosen by tenants: no line of theirs begins a header or a paragraph."""
    return " ".join(text.split())[:120]
