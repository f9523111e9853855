"""EHRs that this service reads from and tells: a token endpoint as strict as may be, and a FHIR server behind it."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

from joserfc import jwt
from joserfc.jwk import ECKey

from referral_service.access.own_key import OwnKey, read_own_key
from referral_service.ehr.reading import Ehrs
from referral_service.worker import now
from tests.receivers import Handler, free_port, status
from tests.systems import ASSERTION_TYPE, ec_key

FHIR = "application/fhir+json"
CLIENT_ID = "referrals-at-the-ehr"
OWN: OwnKey = read_own_key(ec_key("own").as_pem(private=True).decode())


def resource(content: dict[str, Any], content_type: str = FHIR) -> Handler:
    return status(200, json.dumps(content).encode(), **{"Content-Type": content_type})


@dataclass
class Ehr:
    """``records`` answers by path below the base; whatever is not there is 404. ``log_in`` is whether it asks for a
    token, ``released`` lets go of whoever hangs, ``own`` is the key that it holds the client's assertions to.

    ``refusals`` tell why an assertion was not taken, ``paths`` what was asked for, with tokens and without. ``sent`` is
    what was taken of what was sent there; ``answer`` answers to that.
    """

    records: dict[str, Handler] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    log_in: bool = True
    scheme: str = "http"
    knows_smart_2: bool = True
    seconds: float = 300
    paths: list[str] = field(default_factory=list)
    scopes: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)
    sent: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answer: Handler | None = None
    used: set[str] = field(default_factory=set)
    released: Event = field(default_factory=Event)
    always: Handler | None = None
    at_token: Handler | None = None
    own: dict[str, Any] = field(default_factory=OWN.published)

    @property
    def origin(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def base(self) -> str:
        return f"{self.origin}/r4/fhir"

    @property
    def token_url(self) -> str:
        return f"{self.origin}/oauth/token"

    @property
    def registration(self) -> dict[str, str]:
        log_in = {"ehr_token_url": self.token_url, "ehr_client_id": CLIENT_ID} if self.log_in else {}
        return {"ehr_base": self.base, **log_in}

    def holds(self, *contents: dict[str, Any]) -> None:
        for content in contents:
            self.records[f"{content['resourceType']}/{content['id']}"] = resource(content)

    @property
    def calls(self) -> int:
        return len(self.paths)

    @contextmanager
    def open(self, context: ssl.SSLContext | None = None) -> Iterator[Ehr]:
        """Listens for as long as the block runs; by TLS when a ``context`` is given."""
        ehr = self

        class Answering(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                ehr.paths.append(f"POST {self.path}")
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/oauth/token":
                    (ehr.at_token or ehr.always or ehr.answer_to(self, parse_qs(body.decode())))(self)
                else:
                    (ehr.always or ehr.taking(self, body))(self)

            def do_PUT(self) -> None:
                ehr.paths.append(f"PUT {self.path}")
                body = self.rfile.read(int(self.headers["Content-Length"]))
                (ehr.always or ehr.taking(self, body))(self)

            def do_GET(self) -> None:
                ehr.paths.append(f"GET {self.path}")
                (ehr.always or ehr.record_for(self))(self)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Answering)
        server.daemon_threads = True
        if context is not None:
            self.scheme = "https"
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            self.released.set()
            server.shutdown()
            server.server_close()
            thread.join()

    def record_for(self, request: BaseHTTPRequestHandler) -> Handler:
        held = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.log_in and held not in self.tokens:
            return status(401)
        return self.records.get(request.path.removeprefix("/r4/fhir/"), status(404))

    def taking(self, request: BaseHTTPRequestHandler, body: bytes) -> Handler:
        """A Task or a message, by whoever was granted to bring it."""
        self.headers.append(dict(request.headers))
        held = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.log_in and held not in self.tokens:
            return status(401)
        needed = {"PUT": "system/Task.", "POST": "system/MessageHeader."}[request.command or ""]
        if self.log_in and needed not in self.tokens[held]:
            return status(403)
        self.sent.append((request.path.removeprefix("/r4/fhir/"), json.loads(body)))
        return self.answer or status(204)

    def answer_to(self, request: BaseHTTPRequestHandler, form: dict[str, list[str]]) -> Handler:
        """https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html#signature-verification"""
        try:
            self._check(request, {name: values[0] for name, values in form.items() if len(values) == 1})
        except Exception as problem:
            self.refusals.append(repr(problem))
            return status(400, b'{"error": "invalid_client"}', **{"Content-Type": "application/json"})
        self.scopes.append(form["scope"][0])
        if not self.knows_smart_2 and not form["scope"][0].endswith((".read", ".write")):
            return status(400, b'{"error": "invalid_scope"}', **{"Content-Type": "application/json"})
        token = uuid4().hex
        self.tokens[token] = form["scope"][0]
        said = {"access_token": token, "token_type": "bearer", "expires_in": self.seconds, "scope": form["scope"][0]}
        return status(200, json.dumps(said).encode(), **{"Content-Type": "application/json"})

    def _check(self, request: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        assert request.path == "/oauth/token"
        assert set(form) == {"grant_type", "scope", "client_assertion_type", "client_assertion"}
        assert form["grant_type"] == "client_credentials"
        assert form["client_assertion_type"] == ASSERTION_TYPE
        key = ECKey.import_key({name: self.own[name] for name in ("kty", "crv", "x", "y")})
        token = jwt.decode(form["client_assertion"], key, algorithms=["ES384"])
        claims, at = token.claims, time.time()
        assert token.header == {"alg": "ES384", "kid": self.own["kid"], "typ": "JWT"}
        assert claims["iss"] == claims["sub"] == CLIENT_ID
        assert claims["aud"] == self.token_url
        assert at < claims["exp"] <= at + 300
        assert claims["exp"] - claims["iat"] <= 300
        assert claims["jti"] not in self.used
        self.used.add(claims["jti"])

    def hang(self, _: BaseHTTPRequestHandler) -> None:
        self.released.wait(60)

    def trickle(self, request: BaseHTTPRequestHandler) -> None:
        """A byte a second, and never the end of them."""
        request.send_response(200)
        request.send_header("Content-Type", FHIR)
        request.send_header("Content-Length", "100000")
        request.end_headers()
        _drip(request, self.released, 1.0)


def _drip(request: BaseHTTPRequestHandler, released: Event, pause: float) -> None:
    try:
        while not released.wait(pause):
            request.wfile.write(b" ")
            request.wfile.flush()
    except OSError:
        pass


def reset(request: BaseHTTPRequestHandler) -> None:
    """The connection is gone before a word."""
    request.connection.close()


def flood(request: BaseHTTPRequestHandler) -> None:
    """A hundred megabytes, as far as anybody takes them."""
    request.send_response(200)
    request.send_header("Content-Type", FHIR)
    request.send_header("Content-Length", str(100 * 1024 * 1024))
    request.end_headers()
    try:
        for _ in range(100):
            request.wfile.write(b" " * 1024 * 1024)
    except OSError:
        pass


def ehrs(*known: Ehr, **more: Any) -> Ehrs:
    """As this service knows them; all are allowed at private addresses."""
    return Ehrs(frozenset(one.origin for one in known), lambda who, where: OWN.assertion(who, where, now()), **more)
