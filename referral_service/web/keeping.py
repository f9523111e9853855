"""What was typed into a form that came after its session had ended, kept until the same person is signed in again.

It travels in a hidden field of the sign-in page, signed and made out to that person, and stands in no address, cookie
or table. Nothing is sent by itself: whoever is signed in again is shown it and presses the button of a form that
carries the token of the new session.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from flask import current_app, request
from itsdangerous import BadData, URLSafeTimedSerializer

from referral_service.access import people
from referral_service.issues import Fault
from referral_service.web import sessions
from referral_service.web.fields import MEGABYTE
from referral_service.web.forms import check_own
from referral_service.web.http import gate, site
from referral_service.web.rules import RULES

FIELD = "kept"
MOST = 256 * 1024
"""Bytes of all that is kept of one form; a field is kept whole or not at all."""
SIGNED_MOST = 2 * MOST
"""Bytes that this can become once it is signed and written for a form."""
_NOT_TYPED = frozenset({"token", FIELD})
_NOTHING_TYPED = frozenset({"signing.sign_out", "signing.sign_out_everywhere"})


@dataclass(frozen=True, slots=True)
class Kept:
    """A form: where it was sent, its fields in their order, and whether it held what is too large to be kept."""

    person: str
    address: str
    fields: list[tuple[str, str]]
    is_part: bool


def keep() -> str:
    """The form of this request, to be put into :data:`FIELD`; empty when it is none of ours, or was nobody's."""
    person, endpoint = sessions.last_person(), request.endpoint or ""
    if request.method != "POST" or endpoint in _NOTHING_TYPED or RULES[endpoint].scope is not None:
        return ""
    try:
        check_own((3 * site().policy.attachment_megabytes + 1) * MEGABYTE)
    except Fault:
        return ""
    if endpoint == "signing.send_again" or not person:
        return passed_on()
    fields, is_part = _fields()
    address = request.full_path.rstrip("?")
    return str(_signer().dumps({"person": person, "address": address, "fields": fields, "is_part": is_part}))


def passed_on() -> str:
    """What a form of this request holds for the next page, when it is of our making."""
    written = request.form.get(FIELD, "")
    return written if _read(written) is not None else ""


def given_back(person: str) -> Kept | None:
    """The form that this request holds, when it was made out to this person."""
    found = _read(request.form.get(FIELD, ""))
    return found if found is not None and found.person == person else None


def _fields() -> tuple[list[tuple[str, str]], bool]:
    fields, left = [], MOST
    is_part = any(file.filename for file in request.files.values())
    for name, value in request.form.items(multi=True):
        size = len(name.encode()) + len(value.encode())
        if name in _NOT_TYPED:
            continue
        if size > left:
            is_part = True
            continue
        left -= size
        fields.append((name, value))
    return fields, is_part


def _read(written: str) -> Kept | None:
    if not written or not gate().asks:
        return None
    try:
        told: dict[str, Any] = _signer().loads(written, max_age=int(people.LONGEST.total_seconds()))
    except BadData:
        return None
    fields = [(name, value) for name, value in told["fields"]]
    return Kept(told["person"], told["address"], fields, told["is_part"])


def _signer() -> URLSafeTimedSerializer:
    """The salt keeps what is signed here from being taken for a cookie, which is signed with the same key."""
    signed_by = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
    assert current_app.secret_key
    return URLSafeTimedSerializer(current_app.secret_key, salt="a form that is kept", signer_kwargs=signed_by)
