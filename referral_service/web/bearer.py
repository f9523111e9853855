"""The access token that a request carries (https://www.rfc-editor.org/rfc/rfc6750)."""

from __future__ import annotations

from flask import request

from referral_service.access import issuer as outside
from referral_service.access.assertions import check_signer, read_hook_token
from referral_service.access.callers import Caller
from referral_service.access.scopes import parse_scopes
from referral_service.access.signed import TokenError
from referral_service.access.tokens import caller_with, system, use_up
from referral_service.issues import Fault, FaultKind, error
from referral_service.store import systems
from referral_service.store.writes import KeyTaken
from referral_service.web.http import gate, is_hook, now, site
from referral_service.web.reading import GRANTABLE


def bearer() -> Caller | None:
    """Whose token the request carries; None when it carries none. Raises 401 for a token that does not count."""
    if "Authorization" not in request.headers:
        return None
    scheme, _, token = request.headers["Authorization"].partition(" ")
    caller = _holder(token.strip()) if scheme.lower() == "bearer" else None
    if caller is None:
        words = "The access token is unknown, has expired, or belongs to a client that was revoked."
        raise Fault(FaultKind.LOGIN, error("login", "invalid-token", words))
    return caller


def _holder(token: str) -> Caller | None:
    """A token of our own has no dots; that of the issuer outside, or an EHR's own at a hook, is a JSON Web Token."""
    if "." in token and is_hook():
        return _ehr(token)
    if "." in token and gate().issuer is not None:
        return _holder_outside(token)
    with site().store.asking() as connection:
        return caller_with(connection, token, GRANTABLE, now())


def _ehr(token: str) -> Caller:
    """The EHR that signed a token for just this call; it may do all that it was granted.

    https://cds-hooks.hl7.org/2.0/#trusting-cds-clients
    """
    at = now()
    try:
        said = read_hook_token(token, f"{site().public_url}{request.path}", at)
        with site().store.reading() as connection:
            client = systems.client_by_issuer(connection, said.issuer)
        check_signer(said, client, gate().key_sets)
        assert client is not None  # or else nobody has signed it
        with site().store.writing() as connection:
            use_up(connection, said, client)
            systems.sweep(connection, at)
    except (TokenError, KeyTaken) as problem:
        words = (
            "The token was used before; each has a jti of its own." if isinstance(problem, KeyTaken) else str(problem)
        )
        raise Fault(FaultKind.LOGIN, error("login", "invalid-token", words)) from problem
    return system(client, parse_scopes(client["scopes"], GRANTABLE))


def _holder_outside(token: str) -> Caller | None:
    issuer = gate().issuer
    assert issuer is not None
    try:
        client_id, words = outside.client_named(token, issuer, now())
        with site().store.reading() as connection:
            client = systems.client_in_use(connection, client_id)
        if client is None or outside.has_own_keys(client):
            return None
        return system(client, outside.scopes_of(words, client, GRANTABLE))
    except TokenError:  # told to the caller as one kind of fault, whatever it is
        return None
