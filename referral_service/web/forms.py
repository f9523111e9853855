"""Forms that coordinators send: only from a page of our own, within a size, as text that a database can hold."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from referral_service.issues import Fault, FaultKind, error
from referral_service.web.http import site, too_large

FORM_BYTES = 64 * 1024


def check_form(limit: int = FORM_BYTES) -> None:
    """Refuses a form of another site (403) and one that is too large (413).

    A browser says where a request began in Sec-Fetch-Site, and an older one, or one on a site without TLS, in Origin
    (https://www.w3.org/TR/fetch-metadata/); a request that says neither was not sent from a page.
    """
    said = request.headers.get("Sec-Fetch-Site")
    is_ours = said == "same-origin" if said is not None else _origin(request.headers.get("Origin")) == _own_origin()
    if not is_ours:
        words = "This form was not sent from a page of this service; open the page again and send it from there."
        raise Fault(FaultKind.FORBIDDEN, error("forbidden", "other-site", words))
    request.max_content_length = limit
    request.max_form_memory_size = limit
    try:
        values = list(request.form.values())
    except RequestEntityTooLarge as problem:
        raise Fault(FaultKind.TOO_LARGE, too_large(limit)) from problem
    if any("\0" in value for value in values):
        raise Fault(FaultKind.INVALID, error("value", "invalid-string", "A field holds the character NUL."))


def _own_origin() -> tuple[str, str | None, int | None]:
    origin = _origin(site().public_url)
    assert origin is not None
    return origin


def _origin(address: str | None) -> tuple[str, str | None, int | None] | None:
    if not address or "://" not in address:
        return None
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def field(name: str) -> str:
    """One field as it was filled in, without space around it and with lines that end as they do everywhere."""
    return request.form.get(name, "").replace("\r\n", "\n").replace("\r", "\n").strip()
