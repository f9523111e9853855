"""HTTP in and out: media types, limits, request ids, and the one place where a fault becomes a status number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import orjson
from flask import Request, Response, current_app, g, request
from werkzeug.exceptions import RequestEntityTooLarge

from referral_service.access.callers import Caller, Kind
from referral_service.access.gate import Gate
from referral_service.access.scopes import Need
from referral_service.fhir import writer
from referral_service.fhir.audit import Access
from referral_service.intake import Answer, Became, Incoming, Site
from referral_service.issues import Fault, FaultKind, Issue, error
from referral_service.referral import Queue
from referral_service.store.sight import Sight, sight_of
from referral_service.web.limits import Limiter
from referral_service.worklist import Actor, Role

FHIR_JSON = "application/fhir+json"
JSON_TYPES = frozenset({FHIR_JSON, "application/json"})
JSON_PATCH = "application/json-patch+json"
RESOURCE_BYTES = 1024 * 1024
BUNDLE_BYTES = 10 * 1024 * 1024
BINARY_BYTES = 20 * 1024 * 1024
BUNDLE_ENTRIES = 500

STATUS: Mapping[FaultKind, int] = {
    FaultKind.INVALID: 400,
    FaultKind.LOGIN: 401,
    FaultKind.FORBIDDEN: 403,
    FaultKind.NOT_FOUND: 404,
    FaultKind.METHOD: 405,
    FaultKind.NOT_ACCEPTABLE: 406,
    FaultKind.CONFLICT: 409,
    FaultKind.GONE: 410,
    FaultKind.PRECONDITION: 412,
    FaultKind.TOO_LARGE: 413,
    FaultKind.MEDIA_TYPE: 415,
    FaultKind.RANGE: 416,
    FaultKind.BUSINESS_RULE: 422,
    FaultKind.THROTTLED: 429,
    FaultKind.TRANSIENT: 503,
    FaultKind.UNFORESEEN: 500,
}
SUCCESS: Mapping[Became, int] = {
    Became.CREATED: 201,
    Became.UPDATED: 200,
    Became.UNCHANGED: 200,
    Became.REPLAYED: 200,
    Became.KEPT: 200,
}
_FORMATS = frozenset({"json", "application/json", "application/fhir+json", "text/json"})


def this_request() -> Request:
    """The request itself: each look through Flask's proxy costs as much as all that is looked for."""
    found: Request = request._get_current_object()  # type: ignore[attr-defined]
    return found


def site() -> Site:
    found: Site = current_app.extensions["site"]
    return found


def gate() -> Gate:
    found: Gate = current_app.extensions["gate"]
    return found


def limiter() -> Limiter:
    found: Limiter = current_app.extensions["limiter"]
    return found


def caller() -> Caller:
    """Who calls, as the guard has found."""
    found: Caller = g.caller
    return found


def access() -> Access:
    """What the audit trail has to know of this request."""
    found: Access = g.access
    return found


def client() -> str:
    """Whose records are sent and read: the client that a system is."""
    return caller().client


def request_id() -> str:
    return str(g.request_id)


def actor() -> Actor:
    """Who acts on Tasks, and in which roles."""
    return caller().actor


def sight() -> Sight:
    """Whose records are seen."""
    return sight_of(actor())


def allows(kind: str, letter: str) -> bool:
    """Whether a system's token holds a scope; nobody else has any and needs none. Only a placer sends referrals."""
    if caller().kind is not Kind.SYSTEM:
        return True
    scopes, need = caller().scopes, Need(kind, letter)
    if scopes is None or not scopes.allow(need):
        g.setdefault("lacking", {})[str(need)] = None
        return False
    return Role.PLACER in actor().roles or not is_sending(kind, letter)


def is_sending(kind: str, letter: str) -> bool:
    """Whether an interaction sends or changes a referral, which is for placers."""
    return kind == "ServiceRequest" and letter in "cu"


def person() -> str:
    """Who works on the pages, by the name that stands on what they have in hand."""
    return actor().name


def queues_seen() -> tuple[Queue, ...]:
    """The queues whose referrals are there at all for whoever works on the pages."""
    return tuple(queue for queue in Queue if actor().sees(queue, ""))


def now() -> datetime:
    return datetime.now(UTC)


def refuse_nul() -> None:
    """No database keeps NUL in a text, and no name or value of FHIR holds it."""
    if "\0" in unquote(request.full_path):
        raise Fault(FaultKind.INVALID, error("value", "invalid-string", "The address holds the character NUL."))


def fhir_base() -> str:
    return f"{site().public_url}/fhir"


def incoming(door: str, limit: int, types: frozenset[str] = JSON_TYPES) -> Incoming:
    """The request as intake takes it; refuses other media types (415) and what is too large (413)."""
    who, headers = caller(), this_request().headers
    return Incoming(
        client=who.client,
        door=door,
        request_id=request_id(),
        body=body_of(limit, types),
        at=now(),
        idempotency_key=headers.get("Idempotency-Key"),
        if_none_exist=headers.get("If-None-Exist"),
        if_match=headers.get("If-Match"),
        allows=allows,
        queues=sight_of(who.actor).queues,
        placer_system=who.placer_system,
        bars=who.bars,
        access=access(),
    )


def body_of(limit: int, types: frozenset[str] = JSON_TYPES) -> bytes:
    asked = this_request()
    if asked.mimetype not in types:
        words = f"Send {' or '.join(sorted(types, reverse=True))}."
        raise Fault(FaultKind.MEDIA_TYPE, error("not-supported", "media-type", words))
    # One byte more than is taken: a chunked body says no length beforehand and would be cut at the limit unseen.
    asked.max_content_length = limit + 1
    try:
        body = asked.get_data(cache=False)
    except RequestEntityTooLarge as problem:
        raise Fault(FaultKind.TOO_LARGE, too_large(limit)) from problem
    if len(body) > limit:
        raise Fault(FaultKind.TOO_LARGE, too_large(limit))
    return body


def too_large(limit: int) -> Issue:
    return error("too-long", "too-large", f"The body is larger than {limit // 1024} KiB.")


def is_hook() -> bool:
    """Whether the request is one of CDS Hooks, which speaks plain JSON."""
    return request.path.startswith("/cds-services")


def check_accept() -> None:
    """Under /fhir JSON only; ``_format`` outweighs the Accept header (https://hl7.org/fhir/R4/http.html#parameters)."""
    asked = this_request()
    if not (asked.path.startswith("/fhir") or is_hook()) or asked.endpoint == "binaries.read":
        return
    wanted = asked.args.get("_format")
    if wanted is not None:
        acceptable = is_json_format(wanted)
    elif "Accept" in asked.headers:
        types = [value for value, quality in asked.accept_mimetypes if quality > 0]
        acceptable = not asked.accept_mimetypes or any(_takes_json(value) for value in types)
    else:
        acceptable = True
    if not acceptable:
        words = "This server answers in application/fhir+json."
        raise Fault(FaultKind.NOT_ACCEPTABLE, error("not-supported", "not-acceptable", words))


def is_json_format(wanted: str) -> bool:
    """Whether ``_format`` asks for JSON."""
    return wanted.partition(";")[0].strip() in _FORMATS


def _takes_json(media_type: str) -> bool:
    return media_type.partition(";")[0].strip() in JSON_TYPES | {"*/*", "application/*"}


def prefers(name: str) -> str | None:
    """One preference of the Prefer header (https://hl7.org/fhir/R4/http.html#ops)."""
    for part in request.headers.get("Prefer", "").replace(";", ",").split(","):
        key, _, value = part.strip().partition("=")
        if key == name:
            return value.strip().strip('"')
    return None


def fhir_response(body: Mapping[str, Any] | bytes | str, status: int = 200) -> Response:
    text = orjson.dumps(body) if isinstance(body, Mapping) else body
    if request.args.get("_pretty") == "true":
        text = writer.pretty(text if isinstance(text, bytes) else text.encode())
    return Response(text, status, content_type=f"{FHIR_JSON}; charset=utf-8")


def _challenge(kind: FaultKind, issues: Iterable[Issue]) -> str | None:
    """What another token would have to be, when one would help (https://www.rfc-editor.org/rfc/rfc6750#section-3)."""
    if kind is FaultKind.FORBIDDEN and "lacking" in g:
        return f'Bearer error="insufficient_scope", scope="{" ".join(sorted(g.lacking))}"'
    if kind is not FaultKind.LOGIN:
        return None
    return 'Bearer error="invalid_token"' if any(one.rule == "invalid-token" for one in issues) else "Bearer"


def fault_response(kind: FaultKind, issues: Sequence[Issue]) -> Response:
    note_fault(kind)
    response = fhir_response(writer.outcome(issues), STATUS[kind])
    challenge = _challenge(kind, issues)
    if challenge is not None:
        response.headers["WWW-Authenticate"] = challenge
    return retry_later(response)


_RETRY_SECONDS = {429: "1", 503: "5"}


def retry_later(response: Response) -> Response:
    """Says when it is worth trying again, where it is."""
    if response.status_code in _RETRY_SECONDS:
        response.headers["Retry-After"] = _RETRY_SECONDS[response.status_code]
    return response


def note_fault(kind: FaultKind) -> None:
    """Why the request is not granted, in one word, for the event that it leaves in the audit trail."""
    g.fault = kind.value


def answer_response(answer: Answer) -> Response:
    """One resource's answer: the resource, or as Prefer asks, with ETag, Last-Modified and Location."""
    if answer.fault is not None:
        return fault_response(answer.fault, answer.issues)
    wanted = prefers("return") if may_be_shown(answer) else "minimal"
    if wanted == "minimal":
        response = Response(b"", SUCCESS[answer.became], content_type=f"{FHIR_JSON}; charset=utf-8")
    elif wanted == "OperationOutcome":
        response = fhir_response(writer.outcome(answer.issues), SUCCESS[answer.became])
    else:
        response = fhir_response(answer.content, SUCCESS[answer.became])
    version_headers(response, answer.version, answer.last_updated)
    if answer.became is not Became.KEPT:
        response.headers["Location"] = version_url(answer)
    if answer.task_id:
        response.headers["Link"] = f'<{fhir_base()}/Task/{answer.task_id}>; rel="related"'
    return response


def may_be_shown(answer: Answer) -> bool:
    """What was here before is read, and needs the scope for that; what was made or changed just now is the sender's."""
    is_read = answer.became in (Became.UNCHANGED, Became.REPLAYED)
    return not is_read or allows(str(answer.type), "r")


def version_headers(response: Response, version: int, last_updated: str) -> None:
    response.headers["ETag"] = f'W/"{version}"'
    response.headers["Last-Modified"] = http_date(last_updated)


def version_url(answer: Answer) -> str:
    return f"{fhir_base()}/{answer.type}/{answer.id}/_history/{answer.version}"


def http_date(instant: str) -> str:
    return format_datetime(datetime.fromisoformat(instant), usegmt=True)


def entry_response(answer: Answer, notice: Iterable[Issue] = ()) -> dict[str, Any]:
    """``Bundle.entry.response`` of one answer (https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.response).

    ``notice`` are the emergency words of any part of the request, which stand in every outcome of its answer.
    """
    issues = (*notice, *(issue for issue in answer.issues if issue not in notice)) if answer.issues else ()
    if answer.fault is not None:
        return {"status": status_line(STATUS[answer.fault]), "outcome": writer.outcome(issues)}
    written: dict[str, Any] = {"status": status_line(SUCCESS[answer.became])}
    if answer.id:
        written["location"] = version_url(answer) if answer.version else f"{fhir_base()}/{answer.type}/{answer.id}"
    if answer.version:
        written |= {"etag": f'W/"{answer.version}"', "lastModified": answer.last_updated}
    if issues:
        written["outcome"] = writer.outcome(issues)
    return written


def status_line(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase}"
