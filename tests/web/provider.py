"""A small OpenID provider on a port of its own: it signs in whoever it is told to, and checks what it is asked."""

from __future__ import annotations

import json
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "referrals", "a secret between the two"


@dataclass
class Provider:
    """``claims`` are those of the next ID token beside the usual ones; ``spoil`` changes them as an attacker would.

    ``asked`` holds what each code was asked for with.
    """

    issuer: str
    claims: dict[str, Any] = field(default_factory=lambda: {"sub": "s-1", "name": "Bea Example", "roles": ["lead"]})
    spoil: dict[str, Any] = field(default_factory=dict)
    described_as: str | None = None
    signs_with: RSAKey = field(default_factory=lambda: KEY)
    algorithm: str = "RS256"
    asked: dict[str, dict[str, str]] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        return {
            "issuer": self.described_as or self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "id_token_signing_alg_values_supported": ["RS256", "none", "HS256"],
        }

    def authorize(self, given: dict[str, str]) -> str:
        """Where the browser is sent back to, with a code."""
        assert (given["response_type"], given["client_id"]) == ("code", CLIENT)
        assert (given["code_challenge_method"], given["scope"].split()) == ("S256", ["openid", "profile"])
        code = f"code-{len(self.asked)}"
        self.asked[code] = given
        return f"{given['redirect_uri']}?{urlencode({'code': code, 'state': given['state']})}"

    def token(self, given: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        asked = self.asked.pop(given["code"], None)
        who = b64decode(authorization.removeprefix("Basic ")).decode()
        if asked is None or who != f"{CLIENT}:{SECRET}" or given["redirect_uri"] != asked["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        challenge = urlsafe_b64encode(sha256(given["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        if challenge != asked["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        usual = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        claims = {name: value for name, value in {**usual, **self.claims, **self.spoil}.items() if value is not None}
        signed = jwt.encode({"alg": self.algorithm, "kid": "k1"}, claims, self.signs_with, algorithms=[self.algorithm])
        return 200, {"access_token": "opaque", "token_type": "Bearer", "expires_in": 300, "id_token": signed}


KEY = RSAKey.generate_key(2048, {"kid": "k1"}, private=True, auto_kid=False)


@contextmanager
def running() -> Iterator[Provider]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/authorize":
                self.send_response(302)
                self.send_header("Location", provider.authorize(_one_each(parts.query)))
                self.end_headers()
            elif parts.path == "/jwks":
                self._say(200, {"keys": [KEY.as_dict(private=False)]})
            else:
                self._say(200, provider.describe())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._say(*provider.token(_one_each(body), self.headers.get("Authorization", "")))

        def _say(self, status: int, body: dict[str, Any]) -> None:
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider = Provider(f"http://127.0.0.1:{server.server_port}")
    Thread(target=server.serve_forever, daemon=True).start()
    yield provider
    server.shutdown()
    server.server_close()


def _one_each(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query).items()}
