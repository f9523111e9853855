"""What stands before the application in the HTTP server: a request takes a thread only once it is here as a whole.

A server that hands a thread to whoever has sent a first byte is stopped by a handful of clients who never send the
last one. Here all bodies are awaited side by side, each for as long as it keeps coming; see :data:`GRACE_SECONDS`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any, Protocol

from referral_service import metrics

LARGEST_BODY = 21 * 1024 * 1024
LARGEST_BINARY = 28 * 1024 * 1024
"""More than any door takes, and than the one for files, which may come in base64; each has its own limit, and says so
in its own words."""
_FILES = "/fhir/Binary"
PROBES = ("/health/", "/metrics")
"""Where it is asked how the service does."""
PROBES_AT_ONCE = 4
CAME = "referral_service.came"
"""When a request was there as a whole, by ``time.perf_counter``: what waits for a thread waits too."""
GRACE_SECONDS = 10
BYTES_A_SECOND = 16 * 1024
"""A body may take the grace, and a second more for every so many bytes that have come."""

Headers = list[tuple[str, str]]
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Exchange(Protocol):
    """One request and its answer, as granian has them (https://github.com/emmett-framework/granian, RSGI)."""

    def __aiter__(self) -> Any: ...

    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None: ...


class CutOffError(Exception):
    """The body ended before its end, or came too slowly; ``status`` is what is answered."""

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status


class Front:
    """A WSGI application behind a server that awaits requests; ``threads`` requests are worked on at once.

    Whoever asks how the service does has threads apart, and waits for no other request.
    """

    def __init__(self, application: Wsgi, threads: int, grace: float = GRACE_SECONDS) -> None:
        self._application, self._grace = application, grace
        self._threads = ThreadPoolExecutor(threads, "request")
        self._probes = ThreadPoolExecutor(PROBES_AT_ONCE, "probe")

    async def __rsgi__(self, scope: Any, exchange: Exchange) -> None:
        begun = time.perf_counter()
        try:
            body, length = await _body(scope, exchange, self._grace)
        except CutOffError as problem:
            metrics.answered("unfinished", scope.method, problem.status, time.perf_counter() - begun)
            exchange.response_bytes(problem.status, [("server", ""), ("connection", "close")], b"")
            return
        environ = _environ(scope, body, length)
        environ[CAME] = time.perf_counter()
        threads = self._probes if scope.path.startswith(PROBES) else self._threads
        status, headers, content = await asyncio.get_running_loop().run_in_executor(threads, self._run, environ)
        exchange.response_bytes(status, headers, content)

    def _run(self, environ: dict[str, Any]) -> tuple[int, Headers, bytes]:
        begun: list[tuple[int, Headers]] = []

        def start(status: str, headers: Headers, _: Any = None) -> None:
            begun.append((int(status.partition(" ")[0]), headers))

        answer = self._application(environ, start)
        try:
            content = b"".join(answer)
        finally:
            close = getattr(answer, "close", None)
            if close is not None:
                close()
        # The server would say its own name where no other stands.
        return begun[-1][0], [*begun[-1][1], ("server", "")], content


async def _body(scope: Any, exchange: Exchange, grace: float) -> tuple[bytes, int]:
    """What was sent, and how long it is said to be; not read when it is larger than any door takes."""
    said, largest = scope.headers.get("content-length"), LARGEST_BINARY if scope.path == _FILES else LARGEST_BODY
    if said is not None and int(said) > largest:
        return b"", int(said)
    if said is None and "transfer-encoding" not in scope.headers:
        return b"", 0  # https://www.rfc-editor.org/rfc/rfc9112#section-6.3
    parts, received, begun = [], 0, asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(grace) as limit:
            async for part in exchange:
                parts.append(part)
                received += len(part)
                if received > largest:
                    break
                limit.reschedule(begun + grace + received / BYTES_A_SECOND)
    except TimeoutError:
        raise CutOffError(408) from None
    if said is not None and received < int(said):
        raise CutOffError(400)
    return b"".join(parts), received


def _environ(scope: Any, body: bytes, length: int) -> dict[str, Any]:
    """https://peps.python.org/pep-3333/#environ-variables"""
    host, _, port = scope.server.rpartition(":")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": scope.client.rpartition(":")[0].strip("[]"),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope.headers.items():
        key = f"HTTP_{name.upper().replace('-', '_')}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    environ.setdefault("HTTP_HOST", scope.authority or scope.server)
    environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE", "")
    for name in ("HTTP_CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"):
        environ.pop(name, None)
    environ["CONTENT_LENGTH"] = str(length)
    return environ
