"""HTTP to others, guarded: only to listed origins, within limits of time and size, and never where a redirect leads.

OWASP, Server-Side Request Forgery Prevention:
https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
"""

from __future__ import annotations

import logging
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPSConnectionPool
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as BodyTimeout
from urllib3.util.connection import create_connection

from referral_service.addresses import is_public, origin

CONNECT_SECONDS = 5.0
READ_SECONDS = 10.0
WHOLE_SECONDS = 20.0
"""From the first byte asked for to the last one read of the answer's body."""

GET_SECONDS = 3.0
"""For all of a GET, finding the address and the handshake too."""

MAX_BYTES = 64 * 1024
_CHUNK = 16 * 1024

logging.getLogger("urllib3").setLevel(logging.CRITICAL)  # it logs whole addresses, whose paths can hold anything


class NotAllowed(ValueError):
    """The address is at no origin that may be called; the message does not show it."""


class OutboundError(Exception):
    """No usable answer came. ``kind`` is one short word; nothing of the request or of the answer stands in it."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of any status, redirects among them; the body is whole, the names of headers are in small letters."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict, compare=False)


class _SystemTrust(HTTPAdapter):
    """Trusts the authorities that the machine trusts (and those in ``SSL_CERT_FILE``), as mail does."""

    def init_poolmanager(self, *positional: Any, **named: Any) -> None:
        super().init_poolmanager(*positional, **named, ssl_context=ssl.create_default_context())


class Outbound:
    """A session that calls ``allowed`` origins and no others."""

    def __init__(self, allowed: frozenset[str], max_bytes: int = MAX_BYTES) -> None:
        self._allowed = allowed
        self._max_bytes = max_bytes

    def check(self, address: str) -> None:
        """Raises :class:`NotAllowed`, also for what is no address."""
        try:
            found = origin(address)
        except ValueError as problem:
            raise NotAllowed("no http or https address") from problem
        if found not in self._allowed:
            raise NotAllowed("its scheme, host and port are not listed")

    def post(self, address: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Raises :class:`NotAllowed`, or :class:`OutboundError` when no whole answer came in time."""
        self.check(address)
        began = time.monotonic()
        with _told_plainly(), _session(_SystemTrust()) as session:
            answer = session.post(
                address,
                data=body,
                headers={"Accept-Encoding": "identity", **headers},
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                allow_redirects=False,
                stream=True,
            )
            return Reply(answer.status_code, _body(answer, began + WHOLE_SECONDS, self._max_bytes))


class _PublicConnection(HTTPSConnection):
    """Goes to addresses of the open internet only, and to the very one that was looked at."""

    def _new_conn(self) -> socket.socket:
        found = [item[4][0] for item in socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)]
        if not found or not all(is_public(str(number)) for number in found):
            raise NotAllowed("it leads to a private address")
        return create_connection((str(found[0]), self.port), self.timeout, socket_options=self.socket_options)


class _PublicPool(HTTPSConnectionPool):
    ConnectionCls = _PublicConnection


class _PublicOnly(_SystemTrust):
    def init_poolmanager(self, *positional: Any, **named: Any) -> None:
        super().init_poolmanager(*positional, **named)
        self.poolmanager.pool_classes_by_scheme = {"https": _PublicPool}


class Reader:
    """Fetches what others publish over https; from private addresses only at the ``allowed`` origins."""

    def __init__(self, allowed: frozenset[str] = frozenset(), max_bytes: int = MAX_BYTES) -> None:
        self._allowed = allowed
        self._max_bytes = max_bytes

    def get(self, address: str, accept: str) -> Reply:
        """Raises :class:`NotAllowed`, or :class:`OutboundError` when no whole answer came in :data:`GET_SECONDS`."""
        try:
            found = origin(address)
        except ValueError as problem:
            raise NotAllowed("no https address") from problem
        if not found.startswith("https:"):
            raise NotAllowed("no https address")
        adapter = _SystemTrust() if found in self._allowed else _PublicOnly()
        return _within(GET_SECONDS, lambda: self._get(address, accept, adapter))

    def _get(self, address: str, accept: str, adapter: HTTPAdapter) -> Reply:
        until = time.monotonic() + GET_SECONDS
        with _told_plainly(), _session(adapter) as session:
            answer = session.get(
                address,
                headers={"Accept": accept, "Accept-Encoding": "identity"},
                timeout=GET_SECONDS,
                allow_redirects=False,
                stream=True,
            )
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return Reply(answer.status_code, _body(answer, until, self._max_bytes), headers)


class Sender:
    """Sends to what clients have registered: over https to public addresses, or to any of the ``listed`` origins."""

    def __init__(self, listed: frozenset[str]) -> None:
        self._listed = listed

    def send(
        self,
        method: str,
        address: str,
        body: bytes,
        headers: Mapping[str, str],
        registered: frozenset[str],
        seconds: float,
    ) -> Reply:
        """The answer without its body, for its status says it all.

        Raises :class:`NotAllowed` for an address whose origin is not ``registered``, or that may not be called;
        :class:`OutboundError` when no answer came within ``seconds``.
        """
        try:
            found = origin(address)
        except ValueError as problem:
            raise NotAllowed("no http or https address") from problem
        if found not in registered:
            raise NotAllowed("its scheme, host and port are not registered")
        if found not in self._listed and not found.startswith("https:"):
            raise NotAllowed("http is only for listed origins")
        adapter = _SystemTrust() if found in self._listed else _PublicOnly()
        return _within(seconds, lambda: self._send(method, address, body, headers, adapter, seconds))

    def _send(
        self,
        method: str,
        address: str,
        body: bytes,
        headers: Mapping[str, str],
        adapter: HTTPAdapter,
        seconds: float,
    ) -> Reply:
        with _told_plainly(), _session(adapter) as session:
            answer = session.request(
                method,
                address,
                data=body,
                headers={"Accept-Encoding": "identity", **headers},
                timeout=(min(CONNECT_SECONDS, seconds), seconds),
                allow_redirects=False,
                stream=True,
            )
            return Reply(answer.status_code, b"", {name.lower(): value for name, value in answer.headers.items()})


def _within(seconds: float, fetch: Callable[[], Reply]) -> Reply:
    """What is fetched, unless it takes longer: who drips headers, or names slowly, is not waited for."""
    future: Future[Reply] = Future()

    def run() -> None:
        try:
            future.set_result(fetch())
        except Exception as problem:
            future.set_exception(problem)

    Thread(target=run, daemon=True).start()
    try:
        return future.result(timeout=seconds)
    except TimeoutError as problem:
        raise OutboundError("timeout") from problem


@contextmanager
def _told_plainly() -> Iterator[None]:
    try:
        yield
    except (requests.Timeout, BodyTimeout) as problem:
        raise OutboundError("timeout") from problem
    except requests.exceptions.SSLError as problem:
        raise OutboundError("tls") from problem
    except (requests.RequestException, HTTPError, OSError) as problem:
        raise OutboundError("connection") from problem


def _body(answer: requests.Response, until: float, max_bytes: int) -> bytes:
    """What was sent, as it was sent: nothing is unpacked, so that a small answer cannot become a large one."""
    read = bytearray()
    while chunk := answer.raw.read1(_CHUNK, decode_content=False):
        read += chunk
        if len(read) > max_bytes:
            raise OutboundError("too-large")
        if time.monotonic() > until:
            raise OutboundError("timeout")
    return bytes(read)


def _session(adapter: HTTPAdapter) -> requests.Session:
    """One a call: no cookie, log-in of a netrc file or proxy of the environment goes along."""
    session = requests.Session()
    session.trust_env = False
    session.mount("https://", adapter)
    return session
