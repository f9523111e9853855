"""Mail through the site's server: RFC 5321 by the standard library, encrypted as the settings say and never less."""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime

from referral_service.settings import Mail

SECONDS = 5.0
"""For each step of the conversation; there are about ten."""


class MailError(Exception):
    """The server did not take the message. ``kind`` is one short word; nothing that the server said stands in it."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Letter:
    """One message; ``id`` makes a second copy of it recognisable as one."""

    id: str
    to: str
    subject: str
    text: str
    at: datetime


def send(mail: Mail, letter: Letter) -> None:
    """Returns once the server has taken the letter; raises :class:`MailError` otherwise."""
    try:
        with _connected(mail) as server:
            if mail.user is not None and mail.password is not None:
                server.login(mail.user, mail.password)
            server.send_message(_message(mail, letter))
    except (OSError, smtplib.SMTPException) as problem:
        raise MailError(_kind(problem)) from None  # what the server said may be about anybody


def _connected(mail: Mail) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if mail.tls == "tls":
        return smtplib.SMTP_SSL(mail.host, mail.port, timeout=SECONDS, context=context)
    server = smtplib.SMTP(mail.host, mail.port, timeout=SECONDS)
    if mail.tls == "starttls":
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
    return server


def _message(mail: Mail, letter: Letter) -> EmailMessage:
    message = EmailMessage()
    message["From"] = mail.sender
    message["To"] = letter.to
    message["Subject"] = letter.subject
    message["Date"] = format_datetime(letter.at)
    message["Message-ID"] = f"<{letter.id}@{mail.sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answer is wanted
    message["Importance"] = "high"
    message.set_content(letter.text)
    return message


def _kind(problem: Exception) -> str:
    if isinstance(problem, smtplib.SMTPRecipientsRefused):
        return f"smtp-{next(iter(problem.recipients.values()))[0]}"
    if isinstance(problem, smtplib.SMTPResponseException):
        return f"smtp-{problem.smtp_code}"
    if isinstance(problem, smtplib.SMTPNotSupportedError):
        return "smtp-not-supported"
    if TimeoutError in (type(problem), type(problem.__context__)):  # smtplib calls a silence a disconnection
        return "timeout"
    return "tls" if isinstance(problem, ssl.SSLError) else "connection"
