"""Forms that people send: only from a page of our own, made for their session, within a size, as text to be kept."""

from __future__ import annotations

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from referral_service.addresses import origin
from referral_service.issues import Fault, FaultKind, error
from referral_service.web.http import site, too_large
from referral_service.web.sessions import check_token

FORM_BYTES = 64 * 1024


def check_form(limit: int = FORM_BYTES) -> None:
    """Refuses a form of another site or session (403), one that is too large (413), and NUL in any field (400)."""
    values = check_own(limit)
    check_token()
    if any("\0" in value for value in values):
        raise Fault(FaultKind.INVALID, error("value", "invalid-string", "A field holds the character NUL."))


def check_own(limit: int) -> list[str]:
    """The values of a form of our own pages, whatever session it was made for. Raises 403 and 413."""
    _check_same_origin()
    request.max_content_length = limit
    request.max_form_memory_size = limit
    try:
        return list(request.form.values())
    except RequestEntityTooLarge as problem:
        raise Fault(FaultKind.TOO_LARGE, too_large(limit)) from problem


def _check_same_origin() -> None:
    """A form is only taken from a page of our own; a browser says where it stood, and nothing else sends forms.

    Sec-Fetch-Site when the browser sends it (https://www.w3.org/TR/fetch-metadata/), else Origin beside the public URL.
    """
    site_of_form, sent_from = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin", "")
    if site_of_form is not None:
        is_ours = site_of_form == "same-origin"
    else:
        is_ours = sent_from not in ("", "null") and _origin(sent_from) == _origin(site().public_url)
    if not is_ours:
        words = "This was not sent from a page of this service. Open the page again and press the button there."
        raise Fault(FaultKind.FORBIDDEN, error("forbidden", "cross-origin", words))


def _origin(address: str) -> str | None:
    try:
        return origin(address)
    except ValueError:
        return None


def field(name: str) -> str:
    """One field as it was filled in, without space around it and with lines that end as they do everywhere."""
    return request.form.get(name, "").replace("\r\n", "\n").replace("\r", "\n").strip()
