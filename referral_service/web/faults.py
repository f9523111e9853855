"""Whatever goes wrong is told with no traceback, path or SQL: under /fhir and at a hook by an OperationOutcome, by
pages in words.

Who asks for a token is told as OAuth has it (https://www.rfc-editor.org/rfc/rfc6749#section-5.2).
"""

from __future__ import annotations

import logging
from http import HTTPStatus

from flask import Flask, Response, g, jsonify, render_template, request
from werkzeug.exceptions import (
    HTTPException,
    InternalServerError,
    MethodNotAllowed,
    RequestedRangeNotSatisfiable,
    RequestEntityTooLarge,
)

from referral_service import metrics
from referral_service.issues import Fault, FaultKind, Issue, error
from referral_service.logs import where
from referral_service.store.engine import UNAVAILABLE
from referral_service.web.http import (
    STATUS,
    fault_response,
    is_hook,
    note_fault,
    retry_later,
)

log = logging.getLogger("referral_service")

_KINDS = {
    404: (FaultKind.NOT_FOUND, "not-found", "not-found", "There is nothing at this address."),
    405: (FaultKind.METHOD, "not-supported", "method-not-allowed", "This address does not take that method."),
    413: (FaultKind.TOO_LARGE, "too-long", "too-large", "The body is too large."),
    416: (FaultKind.RANGE, "value", "range", "The file ends before the part that was asked for."),
}


def register(app: Flask) -> None:
    app.logger.disabled = True  # It would write the text of an exception, which may hold what was sent.
    app.after_request(_without_type)
    app.register_error_handler(Fault, _fault)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(RequestEntityTooLarge, _http)
    for kind in UNAVAILABLE:
        app.register_error_handler(kind, _database_away)
    app.register_error_handler(Exception, _unforeseen)


def _is_fhir() -> bool:
    return request.path.startswith("/fhir")


def _without_type(response: Response) -> Response:
    """What has no body has no type."""
    if request.method == "OPTIONS" or response.status_code == HTTPStatus.NO_CONTENT:
        response.headers.pop("Content-Type", None)
    return response


def _fault(fault: Fault) -> Response:
    return _answer(fault.kind, *fault.issues)


def _http(problem: HTTPException) -> Response:
    if isinstance(problem, InternalServerError):  # what went wrong after the answer was made
        caused = problem.original_exception
        return _unforeseen(caused if isinstance(caused, Exception) else problem)
    kind, code, rule, words = _KINDS.get(
        problem.code or 0, (FaultKind.INVALID, "invalid", "bad-request", "Bad request.")
    )
    response = _answer(kind, error(code, rule, words))
    if isinstance(problem, MethodNotAllowed) and problem.valid_methods:
        response.headers["Allow"] = ", ".join(sorted(problem.valid_methods))
    if isinstance(problem, RequestedRangeNotSatisfiable):
        response.headers["Content-Range"] = f"bytes */{problem.length}"
    return response


def _database_away(problem: Exception) -> Response:
    metrics.fault("database_unavailable")
    log.error("database_unavailable kind=%s", type(problem).__name__)
    words = "The database cannot be reached. What was sent may not be stored: look, or send it again shortly."
    return _answer(FaultKind.TRANSIENT, error("transient", "database-unavailable", words))


def _unforeseen(problem: Exception) -> Response:
    # Only the kind of the fault and where it arose: its message may hold what was sent.
    metrics.fault("unforeseen")
    log.error("unforeseen_fault kind=%s at=%s", type(problem).__name__, where(problem))
    fault = "The server failed in a way that was not foreseen. What was sent may not be stored."
    words = f"{fault} Quote request id {g.logged_id}."
    return _answer(FaultKind.UNFORESEEN, error("exception", "unforeseen", words))


def _answer(kind: FaultKind, *issues: Issue) -> Response:
    if _is_fhir():
        return fault_response(kind, issues)
    if is_hook():
        response = fault_response(kind, issues)
        response.content_type = "application/json"
        return response
    note_fault(kind)
    words = " ".join(issue.diagnostics for issue in issues)
    if request.path.startswith("/auth/"):
        return retry_later(_for_oauth(kind, words))
    return retry_later(Response(render_template("fault.html", words=words), STATUS[kind]))


_OF_OAUTH = {
    FaultKind.THROTTLED: "temporarily_unavailable",
    FaultKind.TRANSIENT: "temporarily_unavailable",
    FaultKind.UNFORESEEN: "server_error",
}


def _for_oauth(kind: FaultKind, words: str) -> Response:
    response = jsonify({"error": _OF_OAUTH.get(kind, "invalid_request"), "error_description": words})
    response.status_code = STATUS[kind]
    return response
