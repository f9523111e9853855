"""Every access by somebody known leaves an event of the audit trail: who, from where, what of whom, granted or denied.

What writes leaves its event in its own transaction (:mod:`referral_service.intake.auditing`); all else is handed to the
recorder here, once the answer is known. 401 and 429 leave none, nor does a poll that is told that nothing has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import orjson
from flask import Flask, Response, current_app, g, request

from referral_service.access.callers import Caller, Kind
from referral_service.fhir.audit import DENIED, FAILED, GRANTED, Access, Event, Who, our_reference, query_text
from referral_service.intake.site import new_id, type_and_id
from referral_service.issues import FaultKind, error
from referral_service.recording import Recorder, TrailFull
from referral_service.store import audit
from referral_service.store.engine import Connection, instant, when_durable
from referral_service.web.http import STATUS, access, fault_response, now, site

_UNCHANGED = frozenset({204, 304})
_UNCOUNTED = frozenset({401, 429})
_BY_METHOD = {
    "GET": ("R", "read"),
    "HEAD": ("R", "read"),
    "POST": ("C", "create"),
    "PUT": ("U", "update"),
    "PATCH": ("U", "patch"),
    "DELETE": ("D", "delete"),
}
_OPERATION, _SEARCH = ("E", "operation"), ("E", "search-type")
_BY_ENDPOINT: Mapping[str, tuple[str, str]] = {
    "submitting.bundle": ("C", "transaction"),
    "messages.process": ("C", "operation"),
    "worklist.find": _SEARCH,
    "worklist.refresh_found": _SEARCH,
    "signing.sign_out": _OPERATION,
    "signing.sign_out_everywhere": _OPERATION,
    "not_taken.search_list": _SEARCH,
    "not_taken.take_one_in": _OPERATION,
    "entering.enter": _OPERATION,
    "operations.preview_decision": _OPERATION,
    "operations.validate": _OPERATION,
    "hooks.call": _OPERATION,
    "hooks.take_feedback": _OPERATION,
    "operations.decision": _OPERATION,
    "operations.original": _OPERATION,
    "operations.receipt": _OPERATION,
    "auditor.search_by_url": _SEARCH,
    "auditor.search_by_form": _SEARCH,
    "moving.actions": _OPERATION,
    "signing.send_again": _OPERATION,
    "moving.undo": ("U", "operation"),
    "searching.by_url": _SEARCH,
    "searching.by_form": _SEARCH,
    "reading.history": ("R", "history-instance"),
    "reading.version_read": ("R", "vread"),
    "acting.do": ("U", "update"),
    "bulk.do": ("U", "update"),
    "alerts.acknowledge": ("U", "update"),
    "deliveries.send_again": ("U", "update"),
    "subscribing.search": _SEARCH,
    "subscribing.search_by_form": _SEARCH,
    "subscribing.status": _OPERATION,
    "subscribing.events": _OPERATION,
}
"""Calls that are not what their method says; a list is a search once it has said so (:func:`listed`)."""


def register(app: Flask, recorder: Recorder) -> None:
    app.extensions["recorder"] = recorder
    app.after_request(_leave_event)


def begin(caller: Caller) -> Access:
    """What will be said of this request."""
    found = access_by(caller, *(_BY_ENDPOINT.get(request.endpoint or "") or _BY_METHOD.get(request.method, _OPERATION)))
    g.access = found
    return found


def access_by(caller: Caller, action: str, interaction: str) -> Access:
    """``request.remote_addr`` is whoever connected, a proxy if there is one."""
    who = Who(
        caller.actor.id,
        caller.actor.name,
        caller.kind.value,
        caller.client,
        tuple(sorted(caller.actor.roles)) if caller.kind is not Kind.SYSTEM else (),
        request.remote_addr or "",
    )
    return Access(who, str(g.request_id), action, interaction, site().host)


_TYPE_OF_ROOM = {
    "auditor": "AuditEvent",
    "binaries": "Binary",
    "moving": "Task",
    "subscribing": "Subscription",
    "trail": "Patient",
}


def _addressed() -> list[str]:
    """The resource that the address names, whether it is there or not; none when the id cannot be one of ours."""
    given: Mapping[str, Any] = request.view_args or {}
    identity = str(given.get("identity", ""))
    endpoint = request.endpoint or ""
    room = endpoint.partition(".")[0]
    usual = _TYPE_OF_ROOM.get(room, "ServiceRequest")
    reference = our_reference(str(given.get("kind", usual)), identity)
    return [reference] if reference else []


def audited(references: Iterable[str] = (), patients: Iterable[str | None] = ()) -> None:
    """A route says what it is about to give out, as ``Type/id`` of ours, and the ids of the patients whose it is."""
    access().touched(references, patients)


def audited_rows(kind: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """The same of rows of the store; a supporting resource names its patient in itself."""
    for row in rows:
        audited([f"{kind}/{row['id']}"], [_patient_of(kind, row)])


def _patient_of(kind: str, row: Mapping[str, Any]) -> str | None:
    if kind == "Patient":
        return str(row["id"])
    if "patient_id" in row:
        patient: str | None = row["patient_id"]
        return patient
    content = orjson.loads(row["content"])
    about = content.get("patient") or content.get("subject") or {}
    type_, identity = type_and_id(about.get("reference", "") if isinstance(about, dict) else "")
    return identity if type_ == "Patient" else None


def listed(
    patients: Iterable[str | None], parameters: Sequence[tuple[str, str]] | None = None, path: str | None = None
) -> None:
    """A search or a list: what was asked for, and the patients whom its answer names."""
    found = access()
    if parameters is None:
        parameters = parse_qsl(request.query_string.decode("utf-8", "replace"), keep_blank_values=True)
    found.query = query_text(request.path if path is None else path, parameters)
    found.touched((), patients)


def record_listed(patients: Iterable[str | None]) -> None:
    """One event more for a part of a list that is given out while it is still being read."""
    found = access()
    part = Access(found.who, found.request_id, *_SEARCH, found.server, query=query_text(request.path, ()))
    part.touched((), patients)
    _record(part, GRANTED, "")


def written_with(connection: Connection, referral_id: str | None) -> None:
    """Adds the event to what a page writes by itself, in the same transaction."""
    found, referrals = access(), [referral_id] if referral_id else []
    patients = sorted(audit.patients_of(connection, referrals))
    references = [f"ServiceRequest/{one}" for one in referrals]
    references += list(found.references)
    audit.add(connection, [Event(new_id(), instant(now()), found, found.action, references, patients)])
    when_durable(connection, found.has_become_durable)


def _leave_event(response: Response) -> Response:
    found: Access | None = g.get("access")
    if found is None or response.status_code in _UNCHANGED | _UNCOUNTED:
        return response
    outcome = GRANTED if response.status_code < 400 else DENIED if response.status_code < 500 else FAILED
    if found.is_durable and outcome != FAILED and found.query is None:
        return response
    try:
        _record(found, outcome, g.get("fault", "") if outcome != GRANTED else "")
    except TrailFull:
        words = "What is looked at cannot be written down just now, so nothing is shown. Try again shortly."
        return _withheld(words)
    return response


def _withheld(words: str) -> Response:
    issue = error("transient", "audit-unavailable", words)
    if request.path.startswith(("/fhir", "/cds-services")):
        return fault_response(FaultKind.TRANSIENT, [issue])
    return Response(words, STATUS[FaultKind.TRANSIENT], content_type="text/plain; charset=utf-8")


def _record(found: Access, outcome: str, reason: str) -> None:
    is_query = found.query is not None and outcome == GRANTED
    action, interaction = (found.action, found.interaction)
    if is_query and (found.action in "RC" or found.is_durable):
        action, interaction = _SEARCH
    shown = Access(found.who, found.request_id, action, interaction, found.server)
    # What is known by the address alone is named when nothing was found there, or nothing was given.
    references, patients = list(found.references) or _addressed(), list(found.patients)
    event = Event(
        new_id(),
        instant(now()),
        shown,
        action,
        references,
        patients,
        outcome,
        reason,
        found.query if is_query else None,
    )
    recorder: Recorder = current_app.extensions["recorder"]
    recorder.record(event)
