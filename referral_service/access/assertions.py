"""How a system shows who it is: a token that it has signed itself, for another token or for a call of CDS Hooks.

https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html#signature-verification
https://www.rfc-editor.org/rfc/rfc7523#section-3
https://cds-hooks.hl7.org/2.0/#trusting-cds-clients
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
MAX_ISSUER = 512
MAX_JTI = 128
_TYPES = ("JWT",)
NOT_KNOWN = "No registered client has signed this with a key that is known."
"""The one answer to an unknown or revoked client, an unknown key and a signature that does not fit."""


@dataclass(frozen=True, slots=True)
class Assertion:
    """One that says the right things; who says them is known once :func:`check_signer` has passed."""

    signed: Signed
    issuer: str
    """As ``iss`` says: the id of the client, in CDS Hooks the URL by which it was registered."""
    jti: str
    expires: datetime


def read_assertion(text: str, audience: str, now: datetime) -> Assertion:
    """Raises :class:`TokenError` unless every rule holds that needs no key. ``audience`` is the token address."""
    signed = take_apart(text, SMART, _TYPES)
    claims = signed.claims
    client = claims.get("iss")
    if not _is_text(client, MAX_CLIENT) or claims.get("sub") != client:
        raise TokenError("The claims iss and sub are both the id of the client.")
    if claims.get("aud") != audience:
        raise TokenError("The claim aud is the address of the token endpoint, as one text.")
    return _timely(signed, client, now)


def read_hook_token(text: str, audience: str, now: datetime) -> Assertion:
    """The same of the token of an EHR that calls by CDS Hooks. ``audience`` is the address that it calls."""
    signed = take_apart(text, SMART, _TYPES)
    issuer, audiences = signed.claims.get("iss"), signed.claims.get("aud")
    if not _is_text(issuer, MAX_ISSUER):
        raise TokenError("The claim iss is the URL by which the system was registered.")
    if audience not in (audiences if isinstance(audiences, list) else [audiences]):
        raise TokenError("The claim aud is the address that is called, letter for letter.")
    if "iat" not in signed.claims:
        raise TokenError("The claim iat is missing.")
    return _timely(signed, issuer, now)


def _timely(signed: Signed, issuer: str, now: datetime) -> Assertion:
    expires, jti = check_times(signed.claims, now, LONGEST_SECONDS), signed.claims.get("jti")
    if not _is_text(jti, MAX_JTI):
        raise TokenError(f"The claim jti is a text of 1 to {MAX_JTI} printable characters.")
    return Assertion(signed, issuer, jti, expires)


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
