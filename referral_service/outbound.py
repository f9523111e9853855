"""HTTP to others, guarded: only to listed origins, within limits of time and size, and never where a redirect leads.

OWASP, Server-Side Request Forgery Prevention:
https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
"""

from __future__ import annotations

import logging
import os
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from threading import Lock, Thread
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as BodyTimeout
from urllib3.util.connection import create_connection

from referral_service.addresses import is_public, origin

_CHUNK = 16 * 1024

logging.getLogger("urllib3").setLevel(logging.CRITICAL)  # it logs whole addresses, whose paths can hold anything


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds to connect, between two pieces of the answer, and for the whole call with all that belongs to it; and
    how large the answer's body may be: None where its status says it all, and the body is left unread."""

    connect: float = 5.0
    read: float = 10.0
    whole: float = 20.0
    max_bytes: int | None = 64 * 1024

    def within(self, seconds: float) -> Limits:
        """No longer than ``seconds``."""
        return Limits(min(self.connect, seconds), min(self.read, seconds), min(self.whole, seconds), self.max_bytes)


TELLING = Limits()
READING = Limits(connect=3.0, read=3.0, whole=3.0)


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


LONGEST_REST = 24 * 3600.0


def rest_of(reply: Reply) -> float | None:
    """Retry-After in seconds (https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3), a day at most; a date counts
    from that of the answer, or from now. None when it says nothing that can be understood."""
    said = reply.headers.get("retry-after", "").strip()
    if said.isascii() and said.isdecimal():
        return min(float(said[:20]), LONGEST_REST)
    try:
        sent = reply.headers.get("date")
        seconds = _instant(said).timestamp() - (_instant(sent) if sent else datetime.now(UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), LONGEST_REST)


def _instant(text: str) -> datetime:
    """A date of HTTP; one that names no zone is in UTC."""
    found = parsedate_to_datetime(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


class Outbound:
    """Calls ``allowed`` origins and no others.

    Those that stand in ``private`` too may lie anywhere and be plain http; the others are https at addresses of the
    open internet. By default all that is allowed may.
    """

    def __init__(
        self, allowed: frozenset[str], limits: Limits = TELLING, *, private: frozenset[str] | None = None
    ) -> None:
        self._allowed = allowed
        self._limits = limits
        self._private = allowed if private is None else private

    def check(self, address: str) -> None:
        """Raises :class:`NotAllowed`, also for what is no address."""
        self._origin(address)

    def get(self, address: str, headers: Mapping[str, str], within: float | None = None) -> Reply:
        """As :meth:`post`; ``within`` is how many seconds are left, when that is less than the limits allow."""
        return self.send("GET", address, None, headers, within)

    def post(self, address: str, body: bytes, headers: Mapping[str, str], within: float | None = None) -> Reply:
        """Raises :class:`NotAllowed`, or :class:`OutboundError` when no whole answer came in time."""
        return self.send("POST", address, body, headers, within)

    def _origin(self, address: str) -> str:
        found = _origin_of(address)
        if found not in self._allowed:
            raise NotAllowed("its scheme, host and port are not listed")
        if found not in self._private and not found.startswith("https:"):
            raise NotAllowed("no https address")
        return found

    def send(
        self, method: str, address: str, body: bytes | None, headers: Mapping[str, str], within: float | None = None
    ) -> Reply:
        """As :meth:`post`, by any method."""
        anywhere = self._origin(address) in self._private
        limits = self._limits if within is None else self._limits.within(within)
        return _call(method, address, body, headers, limits, anywhere=anywhere)


class Reader:
    """Fetches what others publish over https; from private addresses only at the ``allowed`` origins."""

    def __init__(self, allowed: frozenset[str] = frozenset(), limits: Limits = READING) -> None:
        self._allowed = allowed
        self._limits = limits

    def get(self, address: str, accept: str) -> Reply:
        """Raises :class:`NotAllowed`, or :class:`OutboundError` when no whole answer came in time."""
        found = _origin_of(address)
        if not found.startswith("https:"):
            raise NotAllowed("no https address")
        return _call("GET", address, None, {"Accept": accept}, self._limits, anywhere=found in self._allowed)


def _origin_of(address: str) -> str:
    try:
        return origin(address)
    except ValueError as problem:
        raise NotAllowed("no https address") from problem


def _call(
    method: str, address: str, body: bytes | None, headers: Mapping[str, str], limits: Limits, *, anywhere: bool
) -> Reply:
    """One call; ``anywhere`` is whether it may lead to a private address. Ended from outside when its time is over.

    Whoever drips headers, or names slowly, is not waited for.
    """
    if limits.whole <= 0:
        raise OutboundError("timeout")
    line, future = _Line(), Future[Reply]()

    def run() -> None:
        try:
            future.set_result(_answer(method, address, body, headers, limits, _Adapter(line, anywhere)))
        except BaseException as problem:
            future.set_exception(problem)
        finally:
            line.end()

    Thread(target=run, daemon=True).start()
    try:
        return future.result(timeout=limits.whole)
    except TimeoutError as problem:
        line.end()
        raise OutboundError("timeout") from problem


def _answer(
    method: str, address: str, body: bytes | None, headers: Mapping[str, str], limits: Limits, adapter: HTTPAdapter
) -> Reply:
    until = time.monotonic() + limits.whole
    sent = {"Accept-Encoding": "identity", **headers}
    with _told_plainly(), _session(adapter) as session:
        timeout = (limits.connect, limits.read)
        asked = session.request(
            method, address, data=body, headers=sent, timeout=timeout, allow_redirects=False, stream=True
        )
        with asked as answer:
            named = {name.lower(): value for name, value in answer.headers.items()}
            read = b"" if limits.max_bytes is None else _body(answer, until, limits.max_bytes)
            return Reply(answer.status_code, read, named)


class _Line:
    """The sockets of one call, so that it can be ended by somebody else than who waits for the answer."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._handles: list[socket.socket] = []
        self._has_ended = False

    def opened(self, connected: socket.socket) -> socket.socket:
        """Holds a handle of its own: the one given goes over to TLS, and is no longer good then."""
        with self._lock:
            if self._has_ended:
                connected.close()
                raise OutboundError("timeout")
            self._handles.append(connected.dup())
        return connected

    def end(self) -> None:
        with self._lock:
            self._has_ended = True
            handles, self._handles = self._handles, []
        for handle in handles:
            with suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)
            handle.close()


class _Adapter(HTTPAdapter):
    """Trusts the authorities that the machine trusts (and those in ``SSL_CERT_FILE``), as mail does."""

    def __init__(self, line: _Line, anywhere: bool) -> None:
        self._pools = _pools(line, anywhere)
        super().__init__()

    def init_poolmanager(self, *positional: Any, **named: Any) -> None:
        super().init_poolmanager(*positional, **named)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def cert_verify(self, conn: Any, *_: Any, **__: Any) -> None:
        """Of the authorities that the library brings along none is added."""
        if isinstance(conn, HTTPSConnectionPool):
            conn.cert_reqs = "CERT_REQUIRED"
            conn.conn_kw["ssl_context"] = _trust(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@lru_cache(maxsize=4)
def _trust(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    """Read once: it takes longer than many a call. Both are where OpenSSL itself looks."""
    return ssl.create_default_context()


def _pools(line: _Line, anywhere: bool) -> dict[str, type[HTTPConnectionPool]]:
    """Connections that ``line`` holds the sockets of."""

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return line.opened(super()._new_conn() if anywhere else _public_socket(self))

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return line.opened(super()._new_conn() if anywhere else _public_socket(self))

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def _public_socket(connection: HTTPConnection) -> socket.socket:
    """To addresses of the open internet only, and to the very one that was looked at."""
    found = [item[4][0] for item in socket.getaddrinfo(connection.host, connection.port, type=socket.SOCK_STREAM)]
    if not found or not all(is_public(str(number)) for number in found):
        raise NotAllowed("it leads to a private address")
    at = (str(found[0]), connection.port)
    return create_connection(at, connection.timeout, socket_options=connection.socket_options)


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
    session.mount("http://", adapter)
    return session
