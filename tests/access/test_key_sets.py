"""Key sets at an address: fetched over https from where they may be, kept no longer than they may be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event

import pytest

from referral_service.access.key_sets import KeySets
from referral_service.addresses import is_public
from referral_service.outbound import READING, Limits, NotAllowed, OutboundError, Reader
from tests.publishers import Publisher
from tests.receivers import Handler, status
from tests.systems import ec_key, public, rsa_key


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def publisher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    opened = Publisher()
    opened.publish(public(rsa_key("a")))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted.pem"))
    with opened.trusted(tmp_path / "trusted.pem"):
        yield opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def key_sets(publisher: Publisher, clock: Clock) -> KeySets:
    return KeySets(frozenset({publisher.origin}), clock=clock)


def kid(key_sets: KeySets, publisher: Publisher, name: str = "a", algorithm: str = "RS384") -> str | None:
    found = key_sets.key_at(publisher.address, name, algorithm)
    return found.kid if found else None


def test_a_key_is_fetched_asking_for_json_and_kept(publisher: Publisher, key_sets: KeySets) -> None:
    assert [kid(key_sets, publisher) for _ in range(3)] == ["a", "a", "a"]
    assert [(call.path, call.headers["Accept"]) for call in publisher.calls] == [("/jwks.json", "application/json")]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 300),
        ({"Cache_Control": "max-age=20"}, 20),
        ({"Cache_Control": 'public, Max-Age="20"'}, 20),
        ({"Cache_Control": "max-age=90, max-age=20"}, 20),
        ({"Cache_Control": "max-age=60", "Age": "40"}, 20),
        ({"Cache_Control": "max-age=86400"}, 3600),
        ({"Cache_Control": "no-store"}, 0),
        ({"Cache_Control": "no-cache, max-age=60"}, 0),
        ({"Cache_Control": "max-age=soon"}, 0),
    ],
)
def test_a_set_is_never_kept_past_cache_control(
    publisher: Publisher, key_sets: KeySets, clock: Clock, headers: dict[str, str], seconds: int
) -> None:
    publisher.publish(public(rsa_key("a")), **headers)
    kid(key_sets, publisher)
    clock.seconds += max(0, seconds - 0.5)
    kid(key_sets, publisher)
    before = len(publisher.calls)
    clock.seconds += min(0.5, seconds)
    kid(key_sets, publisher)
    assert (before, len(publisher.calls) - before) == ((1, 1) if seconds else (2, 1))


def test_a_key_that_was_taken_away_counts_no_longer_once_the_set_is_stale(
    publisher: Publisher, key_sets: KeySets, clock: Clock
) -> None:
    assert kid(key_sets, publisher) == "a"
    publisher.publish(public(rsa_key("b")))
    clock.seconds += 300
    assert kid(key_sets, publisher) is None


def test_a_stale_set_is_not_used_when_no_other_comes(publisher: Publisher, key_sets: KeySets, clock: Clock) -> None:
    assert kid(key_sets, publisher) == "a"
    publisher.answer = status(500)
    clock.seconds += 300
    assert kid(key_sets, publisher) is None


def test_a_new_kid_is_asked_for_at_once_and_then_once_a_minute(
    publisher: Publisher, key_sets: KeySets, clock: Clock
) -> None:
    assert kid(key_sets, publisher) == "a"
    publisher.publish(public(rsa_key("a")), public(rsa_key("b")))
    assert kid(key_sets, publisher, "b") == "b"
    assert [kid(key_sets, publisher, "c") for _ in range(5)] == [None] * 5
    assert len(publisher.calls) == 2
    clock.seconds += 60
    assert [kid(key_sets, publisher, "c") for _ in range(5)] == [None] * 5
    assert len(publisher.calls) == 3


def test_asking_for_a_kid_in_vain_leaves_a_fresh_set_as_it_is(publisher: Publisher, key_sets: KeySets) -> None:
    assert kid(key_sets, publisher) == "a"
    publisher.answer = status(500)
    assert (kid(key_sets, publisher, "b"), kid(key_sets, publisher)) == (None, "a")


def test_a_server_that_failed_is_left_alone_for_ten_seconds(
    publisher: Publisher, key_sets: KeySets, clock: Clock
) -> None:
    publisher.answer = status(503)
    assert [kid(key_sets, publisher) for _ in range(5)] == [None] * 5
    assert len(publisher.calls) == 1
    publisher.publish(public(rsa_key("a")))
    clock.seconds += 10
    assert kid(key_sets, publisher) == "a"


def test_keys_of_no_use_here_stand_beside_those_that_are(publisher: Publisher, key_sets: KeySets) -> None:
    publisher.publish(
        public(rsa_key("a"), use="enc"),
        public(ec_key("a", "P-256")),
        {"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "a"},
        public(ec_key("a")),
    )
    assert (kid(key_sets, publisher), kid(key_sets, publisher, "a", "ES384")) == (None, "a")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"keys": {}}', b'{"keys": []}', b"\xff" * 10])
def test_what_is_no_key_set_holds_no_key(publisher: Publisher, key_sets: KeySets, body: bytes) -> None:
    publisher.answer = status(200, body)
    assert kid(key_sets, publisher) is None


def test_a_private_key_that_is_published_is_no_key(publisher: Publisher, key_sets: KeySets) -> None:
    publisher.publish(rsa_key("a").as_dict(private=True))
    assert kid(key_sets, publisher) is None


@pytest.mark.parametrize("number", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(publisher: Publisher, key_sets: KeySets, number: int) -> None:
    publisher.answer = status(number, Location=f"{publisher.origin}/elsewhere")
    assert kid(key_sets, publisher) is None
    assert [call.path for call in publisher.calls] == ["/jwks.json"]


def test_a_private_address_is_not_called_unless_its_origin_is_listed(publisher: Publisher) -> None:
    for address in (publisher.address, publisher.address.replace("127.0.0.1", "localhost")):
        with pytest.raises(NotAllowed, match="private address"):
            Reader().get(address, "application/json")
    assert publisher.calls == []


@pytest.mark.parametrize("address", ["http://127.0.0.1:{port}/", "ftp://127.0.0.1:{port}/", "//127.0.0.1:{port}/", ""])
def test_only_https_is_called(publisher: Publisher, address: str) -> None:
    at = address.format(port=publisher.port)
    with pytest.raises(NotAllowed, match="no https address"):
        Reader(frozenset({f"http://127.0.0.1:{publisher.port}"})).get(at, "application/json")


def test_a_certificate_is_one_that_the_machine_trusts(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(OutboundError, match=r"^tls$"):
        Reader(frozenset({publisher.origin})).get(publisher.address, "application/json")


def test_a_set_larger_than_64_kib_is_none(publisher: Publisher) -> None:
    publisher.answer = status(200, b" " * (64 * 1024 + 1))
    with pytest.raises(OutboundError, match=r"^too-large$"):
        Reader(frozenset({publisher.origin})).get(publisher.address, "application/json")


def dripping(released: Event) -> Handler:
    """Each byte comes soon after the one before, and the headers never end."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.flush_headers()
        while not released.wait(0.05):
            request.wfile.write(b"X")

    return answer


def test_a_server_that_drips_its_headers_is_not_waited_for(publisher: Publisher) -> None:
    released = Event()
    publisher.answer = dripping(released)
    with pytest.raises(OutboundError, match=r"^timeout$"):
        Reader(frozenset({publisher.origin}), Limits(whole=0.5)).get(publisher.address, "application/json")
    released.set()


def test_three_seconds_are_given_and_no_more() -> None:
    assert Limits(connect=3.0, read=3.0, whole=3.0, max_bytes=64 * 1024) == READING


@pytest.mark.parametrize(
    "number",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *("::1", "fe80::1", "fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "2002:7f00:1::"),
        *("64:ff9b::7f00:1", "224.0.0.1", "ff02::1", "255.255.255.255", "::"),
    ],
)
def test_an_address_is_private(number: str) -> None:
    assert not is_public(number)


@pytest.mark.parametrize("number", ["8.8.8.8", "2606:4700:4700::1111"])
def test_an_address_is_public(number: str) -> None:
    assert is_public(number)


def test_the_logs_name_no_address(publisher: Publisher, key_sets: KeySets, caplog: pytest.LogCaptureFixture) -> None:
    publisher.answer = status(503, json.dumps({"secret": 1}).encode())
    kid(key_sets, publisher)
    assert [record.getMessage() for record in caplog.records] == ["key_set_unavailable kind=status"]
