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
    request_id = _id_of("X-Request-Id") or made
    correlation_id = _id_of("X-Correlation-Id") or request_id
    logged_id = request_id if logs.is_harmless(request_id) else made
    logs.begin(request_id=logged_id, correlation_id=correlation_id if logs.is_harmless(correlation_id) else logged_id)
    g.request_id, g.correlation_id, g.logged_id = request_id, correlation_id, logged_id


def _id_of(header: str) -> str | None:
    value = request.headers.get(header, "")
    return value if _ID.fullmatch(value) else None


def add_ids(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.request_id
    response.headers["X-Correlation-Id"] = g.correlation_id
    return response
