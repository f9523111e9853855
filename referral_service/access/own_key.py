"""The key that this service signs with when it is itself the client of an EHR, and what it signs.

https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html#authenticating-to-the-token-endpoint
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from joserfc import jwt
from joserfc.errors import InvalidKeyTypeError, JoseError
from joserfc.jwk import ECKey, RSAKey

from referral_service.access.keys import RSA_BITS
from referral_service.access.objects import Object, read_object
from referral_service.access.secret import kept_beside

ASSERTION_SECONDS = 240
"""From iat to exp: five minutes are the most that a server may take, and its clock may run behind."""

_SUFFIX = "client-key"


class OwnKeyError(ValueError):
    """The key cannot be used; the message shows nothing of it."""


@dataclass(frozen=True, slots=True)
class OwnKey:
    """``kid`` is the thumbprint of the key (RFC 7638), so that it is the same wherever the key is read."""

    algorithm: str
    material: ECKey | RSAKey = field(repr=False)

    @property
    def kid(self) -> str:
        return str(self.material.thumbprint())

    def published(self) -> dict[str, Any]:
        """The public half, as it stands in a JSON Web Key Set."""
        public = self.material.as_dict(private=False)
        return {**public, "kid": self.kid, "use": "sig", "alg": self.algorithm, "key_ops": ["verify"]}

    def assertion(self, client_id: str, audience: str, at: datetime) -> str:
        """Says to the token endpoint at ``audience`` that its client ``client_id`` is calling; good for one use."""
        issued = int(at.timestamp())
        claims = {"iss": client_id, "sub": client_id, "aud": audience, "jti": str(uuid4())}
        header = {"alg": self.algorithm, "kid": self.kid, "typ": "JWT"}
        times = {"iat": issued, "exp": issued + ASSERTION_SECONDS}
        return jwt.encode(header, claims | times, self.material, algorithms=[self.algorithm])


def read_own_key(text: str) -> OwnKey:
    """A private key as PEM or as a JSON Web Key: EC on P-384, or RSA. Raises :class:`OwnKeyError`."""
    try:
        given: Any = _bare(read_object(text)) if text.lstrip().startswith("{") else text
        return _checked(_imported(given))
    except (JoseError, ValueError, TypeError, KeyError) as problem:
        if isinstance(problem, OwnKeyError):
            raise
        raise OwnKeyError("it is no private key as PEM or JSON Web Key, EC or RSA") from problem


def _bare(given: Object) -> Object:
    """Without what says what it is for: it is for signing here."""
    return {name: value for name, value in given.items() if name not in ("kid", "use", "alg", "key_ops")}


def _imported(given: Any) -> ECKey | RSAKey:
    if isinstance(given, dict):
        return ECKey.import_key(given) if given.get("kty") == "EC" else RSAKey.import_key(given)
    try:
        return ECKey.import_key(given)
    except InvalidKeyTypeError:
        return RSAKey.import_key(given)


def _checked(key: ECKey | RSAKey) -> OwnKey:
    private = key.private_key
    if private is None:
        raise OwnKeyError("it is a public key; the private one is needed")
    if isinstance(key, ECKey):
        if key.curve_name != "P-384":
            raise OwnKeyError("its curve is not P-384")
        return OwnKey("ES384", key)
    if not RSA_BITS[0] <= private.key_size <= RSA_BITS[1]:
        raise OwnKeyError(f"it has not {RSA_BITS[0]} to {RSA_BITS[1]} bits")
    return OwnKey("RS384", key)


def own_key_beside(database: Path) -> OwnKey:
    """What stands in ``{database}.client-key``, made when it is not there.

    Raises :class:`OwnKeyError`, or :class:`~.secret.SecretError` for the file.
    """
    return read_own_key(kept_beside(database, _SUFFIX, _made))


def _made() -> str:
    return ECKey.generate_key("P-384").as_pem(private=True).decode()
