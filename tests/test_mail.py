"""Mail goes to a real server, encrypted as the settings say and never less."""

from __future__ import annotations

import socket
import ssl
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from referral_service.mail import Letter, MailError, send
from referral_service.settings import Mail
from tests.receivers import Mailbox, only

LETTER = Letter("a1.0", "duty@hospital.example", "Red flag: é", "Grüße\n", datetime(2026, 3, 16, 12, 0, tzinfo=UTC))


@pytest.fixture
def server_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A certificate for 127.0.0.1 that this machine trusts."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "trusted.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted.pem"))
    return context


def server(box: Mailbox, tls: str = "none") -> Mail:
    return Mail("127.0.0.1", box.port, tls, "referrals@hospital.example")


def test_a_letter_arrives_as_it_was_written() -> None:
    box = Mailbox()
    with box.open():
        send(server(box), LETTER)
    (letter,) = box.letters
    assert (letter.get_content(), box.recipients) == ("Grüße\r\n", [["duty@hospital.example"]])
    assert {name: letter[name] for name in ("From", "To", "Subject", "Message-ID", "Date", "Auto-Submitted")} == {
        "From": "referrals@hospital.example",
        "To": "duty@hospital.example",
        "Subject": "Red flag: é",
        "Message-ID": "<a1.0@hospital.example>",
        "Date": "Mon, 16 Mar 2026 12:00:00 +0000",
        "Auto-Submitted": "auto-generated",
    }


def test_starttls_with_a_log_in(server_side: ssl.SSLContext) -> None:
    box = Mailbox()
    known = replace(server(box, "starttls"), user="referrals", password="s3cret")
    with box.open(tls_context=server_side, require_starttls=True, **only("referrals", "s3cret")):
        send(known, LETTER)
        with pytest.raises(MailError, match=r"^smtp-535$"):
            send(replace(known, password="wrong"), LETTER)
        with pytest.raises(MailError, match=r"^smtp-530$"):
            send(replace(known, user=None, password=None), LETTER)
    assert len(box.letters) == 1


def test_tls_from_the_first_byte(server_side: ssl.SSLContext) -> None:
    box = Mailbox()
    with box.open(ssl_context=server_side):
        send(server(box, "tls"), LETTER)
    assert len(box.letters) == 1


def test_a_server_that_cannot_encrypt_gets_nothing() -> None:
    box = Mailbox()
    with box.open():
        with pytest.raises(MailError, match=r"^smtp-not-supported$"):
            send(server(box, "starttls"), LETTER)
        with pytest.raises(MailError, match=r"^tls$"):
            send(server(box, "tls"), LETTER)
    assert box.letters == []


def test_a_certificate_that_is_not_trusted_ends_it(
    server_side: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    box = Mailbox()
    with box.open(tls_context=server_side), pytest.raises(MailError, match=r"^tls$"):
        send(server(box, "starttls"), LETTER)
    assert box.letters == []


def test_what_goes_wrong_is_one_short_word_and_nothing_that_the_server_said() -> None:
    box = Mailbox(refusal="451 the patient Ada Vellum is not known here")
    with pytest.raises(MailError, match=r"^connection$"):
        send(server(box), LETTER)
    with box.open(), pytest.raises(MailError, match=r"^smtp-451$") as caught:
        send(server(box), LETTER)
    assert (caught.value.__cause__, caught.value.__suppress_context__) == (None, True)


def test_a_password_is_not_shown_with_the_settings() -> None:
    assert "s3cret" not in repr(Mail("h", 587, "starttls", "a@b", "user", "s3cret"))


def test_a_server_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("referral_service.mail.SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mail = Mail("127.0.0.1", silent.getsockname()[1], "none", "referrals@hospital.example")
        with pytest.raises(MailError, match=r"^timeout$"):
            send(mail, LETTER)
