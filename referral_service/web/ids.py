"""The ids of a request: those that come back to the caller, and the one that stands in the log."""

from __future__ import annotations

import re

from flask import Response, g, request

from referral_service import logs
from referral_service.intake.site import new_id

_ID = re.compile(r"[A-Za-z0-9._:/+=\-]{1,128}")


def give_ids() -> None:
    """X-Request-Id and X-Correlation-Id come back as sent; made when absent or not printable.

    A caller may have put anybody's name or number in them: in the log stands one made here, unless a machine made it.
    """
    made = new_id()
    g.request_id = _id_of("X-Request-Id") or made
    g.correlation_id = _id_of("X-Correlation-Id") or g.request_id
    g.logged_id = g.request_id if logs.is_harmless(g.request_id) else made
    correlation = g.correlation_id if logs.is_harmless(g.correlation_id) else g.logged_id
    logs.begin(request_id=g.logged_id, correlation_id=correlation)


def _id_of(header: str) -> str | None:
    value = request.headers.get(header, "")
    return value if _ID.fullmatch(value) else None


def add_ids(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.request_id
    response.headers["X-Correlation-Id"] = g.correlation_id
    return response
