"""Clients who never finish what they send hold up nobody else, and are sent away."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from referral_service.front import LARGEST_BODY, Front
from tests.serving import SMART, Server

STALLED = (
    b"POST /fhir/ServiceRequest HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/fhir+json\r\nContent-Length: 999\r\n\r\n{"
)
HALF_A_HEADER = b"GET /fhir/metadata HTTP/1.1\r\nHos"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("front")
    started = Server(f"sqlite:///{folder / 'front.db'}", folder)
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that asks everybody who they are."""
    folder = tmp_path_factory.mktemp("asking")
    started = Server(f"sqlite:///{folder / 'asking.db'}", folder, SMART)
    started.start()
    yield started
    started.stop()


@pytest.mark.parametrize("begun", [STALLED, HALF_A_HEADER], ids=["of a body", "of a header"])
def test_others_are_served_while_a_hundred_clients_wait_in_the_middle(server: Server, begun: bytes) -> None:
    with ExitStack() as connections:
        for _ in range(100):
            connection = connections.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            connection.sendall(begun)
        answers = [server.get("/health/ready").status_code for _ in range(20)]
    assert answers == [200] * 20


NOTHING = b""
HTTP_2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)
KEPT_OPEN = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("begun", [NOTHING, HALF_A_HEADER, HTTP_2, KEPT_OPEN], ids=["-", "half", "http/2", "idle"])
def test_a_connection_on_which_nothing_more_comes_is_ended(server: Server, begun: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(begun)
        while connection.recv(4096):
            pass


def test_the_server_says_nothing_of_what_it_is(server: Server) -> None:
    for path in ("/health/live", "/fhir/metadata", "/nowhere", "/static/pages.css"):
        assert server.get(path).headers.get("server") == ""


def test_a_body_without_a_length_is_taken(server: Server) -> None:
    def chunks() -> Iterable[bytes]:
        yield b'{"resourceType": "Pat'
        yield b'ient", "birthDate": "1970-05-01"}'

    headers = {"Content-Type": "application/fhir+json"}
    answer = requests.post(f"{server.base}/fhir/Patient", data=chunks(), headers=headers, timeout=30)
    assert (answer.status_code, answer.json()["birthDate"]) == (201, "1970-05-01")


def test_a_body_that_says_it_is_too_large_is_told_so_without_being_read(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        head = STALLED.replace(b"999", str(LARGEST_BODY + 1).encode())
        connection.sendall(head)
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_an_address_keeps_its_letters(server: Server) -> None:
    answer = server.get("/fhir/Patient?identifier=urn%3Ax%7Cm%C3%BCller&_format=json")
    assert (answer.status_code, answer.json()["total"]) == (200, 0)
    assert server.get("/fhir/Pati%C3%ABnt/1").status_code == 404


class Exchange:
    """The server's side of one request whose ``parts`` come after a pause each."""

    def __init__(self, *parts: bytes, pause: float = 0) -> None:
        self._parts, self._pause = parts, pause
        self.told: tuple[int, list[tuple[str, str]], bytes] | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            await asyncio.sleep(self._pause)
            yield part

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.told = status, headers, body


def told(exchange: Exchange, grace: float, length: int | None) -> tuple[int, bytes]:
    scope = SimpleNamespace(
        headers={"transfer-encoding": "chunked"} if length is None else {"content-length": str(length)},
        method="POST",
        path="/",
        query_string="",
        server="127.0.0.1:80",
        client="127.0.0.1:9",
        http_version="1.1",
        scheme="http",
        authority=None,
    )
    asyncio.run(Front(_echo, 1, grace).__rsgi__(scope, exchange))
    assert exchange.told is not None
    return exchange.told[0], exchange.told[2]


def _echo(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
    start("200 OK", [])
    return [environ["wsgi.input"].read()]


def test_who_sends_too_slowly_is_sent_away() -> None:
    assert told(Exchange(b"a", b"b", pause=30), 0.01, 2) == (408, b"")


def test_a_body_that_was_cut_off_is_given_to_nobody() -> None:
    assert told(Exchange(b"a"), 10, 2) == (400, b"")


def test_a_long_body_has_longer_to_come() -> None:
    large = b"a" * 1024 * 1024
    assert told(Exchange(large, b"b", pause=0.02), 0.03, len(large) + 1) == (200, large + b"b")


def test_more_than_any_door_takes_is_not_read_on() -> None:
    whole = told(Exchange(b"a" * LARGEST_BODY, b"b", b"c"), 60, None)[1]
    assert len(whole) == LARGEST_BODY + 1


def test_a_flood_of_wrong_passwords_takes_two_threads_and_the_rest_is_turned_away(asking: Server) -> None:
    def attempt(_: int) -> requests.Response:
        with requests.Session() as browser:
            page = browser.get(f"{asking.base}/sign-in", timeout=30).text
            token = re.findall(r'name="token" value="([^"]+)"', page)[0]
            form = {"user": "nobody", "password": "wrong", "token": token}
            ready.wait()
            headers = {"Sec-Fetch-Site": "same-origin"}
            return browser.post(f"{asking.base}/sign-in", data=form, headers=headers, timeout=30)

    ready = Barrier(12)
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(attempt, range(12)))
    turned_away = [one.headers.get("Retry-After") for one in answers if one.status_code == 429]
    assert {one.status_code for one in answers} == {401, 429}
    assert set(turned_away) == {"1"}
