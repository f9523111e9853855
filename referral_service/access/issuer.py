"""Access tokens of an issuer outside, as a site's own Keycloak or Entra: JSON Web Tokens checked by its key set.

https://www.rfc-editor.org/rfc/rfc9068#section-4
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from referral_service.access.key_sets import KeySets
from referral_service.access.keys import Algorithms
from referral_service.access.objects import Object
from referral_service.access.scopes import ScopeError, Scopes
from referral_service.access.signed import TokenError, check_times, is_signed_with, take_apart
from referral_service.access.tokens import granted
from referral_service.store.systems import Row

ALGORITHMS: Algorithms = {
    **dict.fromkeys(("RS256", "RS384", "PS256", "PS384"), ("RSA", None)),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
}
_TYPES = ("at+jwt", "application/at+jwt", "JWT")
_SYSTEM = "system/"


@dataclass(frozen=True, slots=True)
class Issuer:
    """``name`` is its ``iss``, ``keys_at`` the address of its key set, ``audience`` what it calls this service."""

    name: str
    keys_at: str
    audience: str
    key_sets: KeySets = field(repr=False, compare=False)


def client_named(token: str, issuer: Issuer, now: datetime) -> tuple[str, str]:
    """The client that a token was given to, and its words of scope. Raises :class:`TokenError`."""
    signed = take_apart(token, ALGORITHMS, _TYPES)
    claims = signed.claims
    check_times(claims, now)
    if claims.get("iss") != issuer.name:
        raise TokenError("The token is of another issuer.")
    audience = claims.get("aud")
    if issuer.audience not in (audience if isinstance(audience, list) else [audience]):
        raise TokenError("The token is for somebody else.")
    client, scope = _client(claims), claims.get("scope")
    if not isinstance(scope, str):
        raise TokenError("The token holds no scope.")
    key = issuer.key_sets.key_at(issuer.keys_at, signed.kid, signed.algorithm)
    if key is None or not is_signed_with(signed, key):
        raise TokenError("The issuer has not signed this with a key that is known.")
    return client, scope


def scopes_of(words: str, client: Row, types: frozenset[str]) -> Scopes:
    """The scopes for systems among the words; those for people and of OpenID Connect open nothing here.

    Raises :class:`TokenError` for one that is not in the grammar or was not granted to the client as registered.
    """
    ours = " ".join(word for word in words.split() if word.startswith(_SYSTEM))
    try:
        return granted(ours, client, types)
    except ScopeError as problem:
        raise TokenError("The token holds a scope that the client was not granted.") from problem


def has_own_keys(client: Row) -> bool:
    """Whether a client speaks for itself; whoever may name clients at the issuer cannot speak for it."""
    return client["jwks"] is not None or client["jwks_url"] is not None


def _client(claims: Object) -> str:
    named = [claims[name] for name in ("client_id", "azp") if name in claims]
    first = named[0] if named else None
    if not isinstance(first, str) or not first.isprintable() or any(one != first for one in named):
        raise TokenError("The token does not say which client holds it.")
    return first
