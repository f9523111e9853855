"""How a system shows who it is: an assertion that it has signed itself (private_key_jwt).

https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html#signature-verification
https://www.rfc-editor.org/rfc/rfc7523#section-3
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeGuard

from referral_service.access.key_sets import KeySets
from referral_service.access.keys import SMART
from referral_service.access.signed import Signed, TokenError, check_times, is_signed_with, take_apart
from referral_service.store.systems import Row

LONGEST_SECONDS = 300
MAX_CLIENT = 64
MAX_JTI = 128
_TYPES = ("JWT",)
NOT_KNOWN = "No registered client has signed this with a key that is known."
"""The one answer to an unknown or revoked client, an unknown key and a signature that does not fit."""


@dataclass(frozen=True, slots=True)
class Assertion:
    """One that says the right things; who says them is known once :func:`check_signer` has passed."""

    signed: Signed
    client: str
    jti: str
    expires: datetime


def read_assertion(text: str, audience: str, now: datetime) -> Assertion:
    """Raises :class:`TokenError` unless every rule holds that needs no key. ``audience`` is the token address."""
    signed = take_apart(text, SMART, _TYPES)
    claims = signed.claims
    client, jti = claims.get("iss"), claims.get("jti")
    if not _is_text(client, MAX_CLIENT) or claims.get("sub") != client:
        raise TokenError("The claims iss and sub are both the id of the client.")
    if claims.get("aud") != audience:
        raise TokenError("The claim aud is the address of the token endpoint, as one text.")
    expires = check_times(claims, now, LONGEST_SECONDS)
    if not _is_text(jti, MAX_JTI):
        raise TokenError(f"The claim jti is a text of 1 to {MAX_JTI} printable characters.")
    return Assertion(signed, client, jti, expires)


def _is_text(value: object, longest: int) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= longest and value.isprintable()


def check_signer(assertion: Assertion, client: Row | None, key_sets: KeySets) -> None:
    """Raises :class:`TokenError` unless the client, as registered and not revoked, has signed it.

    The header ``jku`` may name no other address than the one that was registered.
    """
    signed = assertion.signed
    if client is None or ("jku" in signed.header and signed.header["jku"] != client["jwks_url"]):
        raise TokenError(NOT_KNOWN)
    key = key_sets.key_of(client, signed.kid, signed.algorithm)
    if key is None or not is_signed_with(signed, key):
        raise TokenError(NOT_KNOWN)
