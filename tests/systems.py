"""Systems that call: key pairs, assertions good and bad, and how they are registered."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import uuid4

from flask import Flask
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry

from referral_service.access.registering import Registration, register
from referral_service.store.engine import Store
from referral_service.web.reading import GRANTABLE

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
AUDIENCE = "http://localhost/auth/token"
EVERYTHING = "system/*.cruds"
LEFT_OUT = object()


@cache
def rsa_key(name: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": name})


@cache
def ec_key(name: str, curve: str = "P-384") -> ECKey:
    return ECKey.generate_key(curve, {"kid": name})


def public(key: RSAKey | ECKey, **more: Any) -> dict[str, Any]:
    return {**key.as_dict(private=False), **more}


def key_set(*keys: dict[str, Any]) -> str:
    return json.dumps({"keys": keys})


def base64url(data: bytes | str) -> str:
    return urlsafe_b64encode(data if isinstance(data, bytes) else data.encode()).decode().rstrip("=")


def signed(header: Any, claims: Any, key: Any, algorithm: str) -> str:
    """Whatever stands in header and claims, signed by the algorithm as it is; texts are taken as they are written."""
    parts = [base64url(part if isinstance(part, str) else json.dumps(part)) for part in (header, claims)]
    message = ".".join(parts)
    return f"{message}.{base64url(JWSRegistry.algorithms[algorithm].sign(message.encode(), key))}"


@dataclass
class System:
    """One that holds a private key, and says of itself what it is told to say."""

    id: str = "ehr-a"
    key: RSAKey | ECKey = field(default_factory=lambda: rsa_key("a"))
    audience: str = AUDIENCE

    @property
    def algorithm(self) -> str:
        return "RS384" if isinstance(self.key, RSAKey) else "ES384"

    def header(self, **changed: Any) -> dict[str, Any]:
        return changed_as({"alg": self.algorithm, "typ": "JWT", "kid": self.key.kid}, changed)

    def claims(self, **changed: Any) -> dict[str, Any]:
        written = {"iss": self.id, "sub": self.id, "aud": self.audience, "jti": str(uuid4()), "exp": time.time() + 240}
        return changed_as(written, changed)

    def assertion(self, header: dict[str, Any] | None = None, **claims: Any) -> str:
        return signed(self.header(**(header or {})), self.claims(**claims), self.key, self.algorithm)

    def form(self, scope: str = "system/ServiceRequest.cr", **changed: Any) -> dict[str, Any]:
        written = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": changed.pop("client_assertion", None) or self.assertion(),
            "scope": scope,
        }
        return changed_as(written, changed)

    def registration(self, **changed: Any) -> Registration:
        given: dict[str, Any] = {
            "name": f"The system {self.id}",
            "roles": ("placer",),
            "queues": (),
            "scopes": (EVERYTHING,),
            "jwks": key_set(public(self.key)).encode() if "jwks_url" not in changed else None,
        }
        return Registration(self.id, **(given | changed))

    def register(self, store: Store, private: frozenset[str] = frozenset(), **changed: Any) -> System:
        with store.writing() as connection:
            register(connection, self.registration(**changed), GRANTABLE, datetime.now(UTC), private)
        return self

    def token(self, app: Flask, scope: str = EVERYTHING) -> str:
        answer = app.test_client().post("/auth/token", data=self.form(scope))
        assert answer.status_code == 200, answer.text
        return str(answer.get_json()["access_token"])

    def bearer(self, app: Flask, scope: str = EVERYTHING) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(app, scope)}"}


def changed_as(written: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (written | changed).items() if value is not LEFT_OUT}
