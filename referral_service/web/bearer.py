"""The access token that a request carries (https://www.rfc-editor.org/rfc/rfc6750)."""

from __future__ import annotations

from flask import request

from referral_service.access.callers import Caller
from referral_service.access.tokens import caller_with
from referral_service.issues import Fault, FaultKind, error
from referral_service.web.http import now, site
from referral_service.web.reading import READABLE


def bearer() -> Caller | None:
    """Whose token the request carries; None when it carries none. Raises 401 for a token that does not count."""
    if "Authorization" not in request.headers:
        return None
    scheme, _, token = request.headers["Authorization"].partition(" ")
    with site().store.reading() as connection:
        caller = caller_with(connection, token.strip(), READABLE, now()) if scheme.lower() == "bearer" else None
    if caller is None:
        words = "The access token is unknown, has expired, or belongs to a client that was revoked."
        raise Fault(FaultKind.LOGIN, error("login", "invalid-token", words))
    return caller
