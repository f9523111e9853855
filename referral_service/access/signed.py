"""A signed JSON Web Token taken apart, and its signature checked with one key.

RFC 7515 and RFC 7519 (https://www.rfc-editor.org/rfc/rfc7515, https://www.rfc-editor.org/rfc/rfc7519); the signature
itself is the JOSE library's affair.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from datetime import datetime

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry

from referral_service.access.keys import Algorithms, PublicKey
from referral_service.access.objects import Object, read_object

MAX_LENGTH = 8 * 1024
CLOCKS_APART = 30
"""Seconds by which the clock of whoever signed may run ahead."""

_PART = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_CHANGES_MEANING = ("crit", "b64", "zip")


class TokenError(ValueError):
    """A token is not taken; the message holds nothing of it, and no quote (RFC 6749 5.2)."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A token whose signature is not checked yet, with its header and claims."""

    text: str
    header: Object
    claims: Object

    @property
    def algorithm(self) -> str:
        return str(self.header["alg"])

    @property
    def kid(self) -> str:
        return str(self.header["kid"])


def take_apart(text: str, algorithms: Algorithms, types: tuple[str, ...]) -> Signed:
    """Raises :class:`TokenError` for what no signature could make good: its length, form or header.

    ``types`` are the values that ``typ`` may have, when it is there.
    """
    header, claims = _parts(text)
    _check_header(header, algorithms, types)
    return Signed(text, header, claims)


def issuer_said(text: str) -> str:
    """Whom a token names as its issuer, whatever is wrong with it and whoever wrote it; empty when it names nobody."""
    try:
        _, claims = _parts(text)
    except TokenError:
        return ""
    named = claims.get("iss")
    return named if isinstance(named, str) else ""


def _parts(text: str) -> tuple[Object, Object]:
    if len(text) > MAX_LENGTH:
        raise TokenError(f"The token is longer than {MAX_LENGTH} bytes.")
    parts = text.split(".")
    if len(parts) != 3 or not all(_PART.fullmatch(part) for part in parts):
        raise TokenError("This is no signed JSON Web Token of three parts.")
    return _read(parts[0]), _read(parts[1])


def _read(part: str) -> Object:
    try:
        return read_object(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except ValueError as problem:
        raise TokenError("Header and claims are JSON objects in base64url.") from problem


def _check_header(header: Object, algorithms: Algorithms, types: tuple[str, ...]) -> None:
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        raise TokenError(f"The header alg is one of {', '.join(algorithms)}.")
    if any(name in header for name in _CHANGES_MEANING):
        raise TokenError(f"The header holds one of {', '.join(_CHANGES_MEANING)}, which are not taken.")
    if "cty" in header:
        raise TokenError("A token inside a token is not taken.")
    if "typ" in header and header["typ"] not in types:
        raise TokenError(f"The header typ is {' or '.join(types)}.")
    if not isinstance(kid, str) or not kid:
        raise TokenError("The header kid is missing.")


def is_signed_with(signed: Signed, key: PublicKey) -> bool:
    """Whether the key's owner signed just this header and these claims."""
    registry = JWSRegistry(algorithms=[signed.algorithm], strict_check_header=False)
    registry.max_header_length = MAX_LENGTH
    try:
        found = jws.deserialize_compact(signed.text, key.material, registry=registry)
        return bool(read_object(found.payload or b"") == signed.claims)
    except (JoseError, ValueError, TypeError):
        return False


def check_times(claims: Object, now: datetime, longest: int | None = None) -> datetime:
    """When the token ends. ``longest`` is how many seconds ahead that may be.

    Raises :class:`TokenError` unless ``exp`` is a number in the future and ``nbf`` and ``iat``, when there, have come.
    """
    at, expires = now.timestamp(), _number(claims, "exp")
    if expires is None:
        raise TokenError("The claim exp is missing.")
    if expires <= at:
        raise TokenError("The token has expired.")
    if longest is not None and expires > at + longest:
        raise TokenError(f"The claim exp is more than {longest} seconds ahead.")
    for name in ("nbf", "iat"):
        since = _number(claims, name)
        if since is not None and (since > at + CLOCKS_APART or since >= expires):
            raise TokenError(f"The claim {name} is ahead of now or of exp.")
    try:
        return datetime.fromtimestamp(expires, now.tzinfo)
    except (ValueError, OverflowError, OSError) as problem:
        raise TokenError("The claim exp is no time.") from problem


def _number(claims: Object, name: str) -> float | int | None:
    value = claims.get(name)
    if name not in claims:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise TokenError(f"The claim {name} is a number of seconds.")
    return value
