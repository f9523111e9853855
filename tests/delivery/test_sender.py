"""What is sent leaves only for registered origins: public ones over https, others when the site lists them."""

from __future__ import annotations

import pytest

from referral_service.outbound import Limits, NotAllowed, Outbound, OutboundError
from tests.receivers import Receiver, status


def send(listed: frozenset[str], address: str, *registered: str, seconds: float = 5.0) -> int:
    outbound = Outbound(frozenset(registered), Limits(whole=seconds, max_bytes=None), private=listed)
    return outbound.send("PUT", address, b"{}", {"Content-Type": "a/b"}).status


@pytest.mark.parametrize(
    ("address", "registered", "words"),
    [
        ("https://ehr.example/hook", "https://ehr.example:8443", "not listed"),
        ("https://ehr.example.evil.example/hook", "https://ehr.example:443", "not listed"),
        ("https://ehr.example@evil.example/", "https://ehr.example:443", "no https address"),
        ("http://ehr.example/hook", "http://ehr.example:80", "no https address"),
        ("https://127.0.0.1/hook", "https://127.0.0.1:443", "private address"),
        ("https://169.254.169.254/latest", "https://169.254.169.254:443", "private address"),
    ],
)
def test_other_addresses_are_never_called(address: str, registered: str, words: str) -> None:
    with pytest.raises(NotAllowed, match=words):
        send(frozenset(), address, registered)


def test_a_listed_origin_is_called_and_its_answer_not_followed_or_read() -> None:
    hook = Receiver(answer=status(301, b"x" * 1_000_000, Location="https://evil.example/"))
    with hook.open():
        assert send(frozenset({hook.origin}), f"{hook.origin}/fhir/Task/1", hook.origin) == 301
    assert [(call.method, call.path) for call in hook.calls] == [("PUT", "/fhir/Task/1")]


def test_who_gives_no_answer_is_not_waited_for() -> None:
    hook = Receiver(answer=lambda request: request.server.receiver.hold)  # type: ignore[attr-defined]
    with hook.open(), pytest.raises(OutboundError):
        send(frozenset({hook.origin}), hook.origin, hook.origin, seconds=1.0)
