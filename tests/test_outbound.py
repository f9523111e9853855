"""HTTP to others goes where it may go, once, and within its limits; against a real server."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import trustme

from referral_service.outbound import Limits, NotAllowed, Outbound, OutboundError, Reply
from tests.receivers import Receiver, free_port, status


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    opened = Receiver()
    with opened.open():
        yield opened


def post(receiver: Receiver, path: str = "/alerts", **limits: Any) -> Reply:
    return Outbound(frozenset({receiver.origin}), Limits(**limits)).post(f"{receiver.origin}{path}", b"{}", {})


def test_the_answer_comes_back_whole(receiver: Receiver) -> None:
    receiver.answer = status(200, b"thanks")
    assert post(receiver) == Reply(200, b"thanks")
    assert [call.path for call in receiver.calls] == ["/alerts"]


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:{other}/",
        "https://127.0.0.1:{port}/",
        "http://localhost:{port}/",
        "http://127.0.0.1.example:{port}/",
        "http://127.0.0.1:{port}@elsewhere.example/",
        "http://user:secret@127.0.0.1:{port}/",
        "ftp://127.0.0.1:{port}/",
        "//127.0.0.1:{port}/",
        "127.0.0.1:{port}",
        "",
    ],
)
def test_only_a_listed_scheme_host_and_port_is_called(receiver: Receiver, address: str) -> None:
    at = address.format(port=receiver.port, other=free_port())
    with pytest.raises(NotAllowed):
        Outbound(frozenset({receiver.origin})).post(at, b"{}", {})
    assert receiver.calls == []


@pytest.mark.parametrize("number", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(receiver: Receiver, number: int) -> None:
    receiver.answer = status(number, Location=f"{receiver.origin}/elsewhere")
    assert post(receiver).status == number
    assert [call.path for call in receiver.calls] == ["/alerts"]


def test_an_answer_that_is_too_large_is_none(receiver: Receiver) -> None:
    receiver.answer = status(200, b"x" * 1001)
    with pytest.raises(OutboundError, match=r"^too-large$"):
        post(receiver, max_bytes=1000)


def test_an_answer_as_large_as_may_be_is_one(receiver: Receiver) -> None:
    receiver.answer = status(200, b"x" * 1000)
    assert len(post(receiver, max_bytes=1000).body) == 1000


def test_a_packed_answer_is_not_unpacked(receiver: Receiver) -> None:
    receiver.answer = status(200, b"\x1f\x8b small", **{"Content-Encoding": "gzip"})
    assert post(receiver).body == b"\x1f\x8b small"


def test_nobody_there_and_nobody_answering_are_told_apart() -> None:
    gone = Receiver()
    with pytest.raises(OutboundError, match=r"^connection$"):
        post(gone)
    gone.hold = Event()
    with gone.open():
        with pytest.raises(OutboundError, match=r"^timeout$"):
            post(gone, read=0.2)
        gone.hold.set()


@pytest.mark.parametrize("dripping", ["head", "body"])
def test_an_answer_that_drips_ends_with_the_whole_time_and_its_line_is_cut(receiver: Receiver, dripping: str) -> None:
    is_cut = Event()

    def drip(request: BaseHTTPRequestHandler) -> None:
        if dripping == "body":
            request.send_response(200)
            request.send_header("Content-Length", "1000000")
            request.end_headers()
        try:
            while not is_cut.wait(0.02):
                request.wfile.write(b"H")
                request.wfile.flush()
        except OSError:
            is_cut.set()

    receiver.answer = drip
    with pytest.raises(OutboundError, match=r"^timeout$"):
        post(receiver, whole=0.3)
    assert is_cut.wait(10)


def test_nothing_is_called_once_no_time_is_left(receiver: Receiver) -> None:
    with pytest.raises(OutboundError, match=r"^timeout$"):
        Outbound(frozenset({receiver.origin})).get(f"{receiver.origin}/", {}, within=0.0)
    assert receiver.calls == []


def test_an_origin_that_is_not_listed_as_private_is_called_by_https_on_the_open_internet_only(
    receiver: Receiver,
) -> None:
    plain, secure = receiver.origin, receiver.origin.replace("http:", "https:")
    for at in (plain, secure, secure.replace("127.0.0.1", "localhost"), "https://169.254.169.254:443"):
        with pytest.raises(NotAllowed):
            Outbound(frozenset({at}), private=frozenset()).get(f"{at}/", {})
    assert receiver.calls == []
    assert Outbound(frozenset({plain}), private=frozenset({plain})).get(f"{plain}/a", {}).status == 204


def test_a_connection_that_breaks_off_is_told(receiver: Receiver) -> None:
    def broken(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "10")
        request.end_headers()
        request.wfile.write(b"half")

    receiver.answer = broken
    with pytest.raises(OutboundError, match=r"^connection$"):
        post(receiver)


def test_no_proxy_of_the_environment_is_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    assert post(receiver).status == 204


def test_a_certificate_counts_when_the_machine_trusts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, receiver = trustme.CA(), Receiver()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    address = receiver.origin.replace("http:", "https:")
    caller = Outbound(frozenset({address}))
    with receiver.open(context):
        with pytest.raises(OutboundError, match=r"^tls$"):
            caller.post(f"{address}/", b"{}", {})
        trusted = tmp_path / "trusted.pem"
        authority.cert_pem.write_to_path(str(trusted))
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        assert caller.post(f"{address}/", b"{}", {}).status == 204


def test_a_certificate_of_another_name_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, receiver = trustme.CA(), Receiver()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.example").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "trusted.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted.pem"))
    address = receiver.origin.replace("http:", "https:")
    with receiver.open(context), pytest.raises(OutboundError, match=r"^tls$"):
        Outbound(frozenset({address})).get(f"{address}/", {})
    assert receiver.calls == []
