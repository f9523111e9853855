"""Those who are told: a mail server and a web server, small and real, on ports of their own."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword

Handler = Callable[[BaseHTTPRequestHandler], None]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Mailbox:
    """A mail server. ``refusal`` is what it says to each message instead of taking it."""

    port: int = field(default_factory=free_port)
    letters: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    refusal: str | None = None

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802 - its name in aiosmtpd
        if self.refusal is not None:
            return self.refusal
        assert isinstance(envelope.content, bytes)
        letter = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(letter, EmailMessage)
        self.letters.append(letter)
        self.recipients.append(list(envelope.rcpt_tos))
        return "250 taken"

    @contextmanager
    def open(self, **options: Any) -> Iterator[None]:
        """Listens for as long as the block runs; before and after it, nothing is there."""
        server = Controller(self, hostname="127.0.0.1", port=self.port, **options)
        server.start()
        try:
            yield
        finally:
            server.stop()


def only(user: str, password: str) -> dict[str, Any]:
    """Options of a mail server that takes letters of one user alone, and over TLS alone."""

    def check(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
        is_known = isinstance(given, LoginPassword) and given == LoginPassword(user.encode(), password.encode())
        return AuthResult(success=is_known, handled=is_known)

    return {"authenticator": check, "auth_required": True}


@dataclass
class Call:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    method: str = "POST"


@dataclass
class Receiver:
    """A web server that answers 204, or as ``answer`` does; ``hold`` keeps every call waiting until it is set."""

    answer: Handler | None = None
    port: int = field(default_factory=free_port)
    calls: list[Call] = field(default_factory=list)
    called: Event = field(default_factory=Event)
    hold: Event | None = None

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def open(self, context: ssl.SSLContext | None = None) -> Iterator[None]:
        receiver = self

        class Answering(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._take({})

            def do_POST(self) -> None:
                self._take(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def do_PUT(self) -> None:
                self.do_POST()

            def _take(self, body: dict[str, Any]) -> None:
                receiver.calls.append(Call(self.path, dict(self.headers), body, self.command))
                receiver.called.set()
                if receiver.hold is not None:
                    receiver.hold.wait(60)
                (receiver.answer or _taken)(self)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Answering)
        server.receiver = receiver  # type: ignore[attr-defined]
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield
        finally:
            if self.hold is not None:
                self.hold.set()
            server.shutdown()
            server.server_close()
            thread.join()


def _taken(request: BaseHTTPRequestHandler) -> None:
    status(204)(request)


def status(number: int, body: bytes = b"", **headers: str) -> Handler:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(number)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer
