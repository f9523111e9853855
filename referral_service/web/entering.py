"""A referral that came by telephone or fax, entered in a form that goes through the same intake as any other door.

Sent twice it is one referral: the form carries a key. What is decided is shown before anything is stored, and only what
was shown is stored.
"""

from __future__ import annotations

import base64
import re
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import uuid4

import orjson
from flask import Blueprint, redirect, render_template, request, url_for

from referral_service.fhir.bundle import Envelope
from referral_service.fhir.canonical import facts_json
from referral_service.fhir.reader import read_referral
from referral_service.fhir.writer import Attachment, Entered, Filled, decision_parameters, entered_bundle
from referral_service.intake import Answer, Incoming, Taking, preview, receive
from referral_service.intake.parts import Part, part_of
from referral_service.issues import FaultKind
from referral_service.referral import Decision, DecisionInput, Disposition, PatientFacts, Priority
from referral_service.store import nottaken as stored
from referral_service.web import http, one_referral
from referral_service.web.fields import MEGABYTE, Faults, attached, entered_fields, faults_of, limit, within_limits
from referral_service.web.forms import check_form, field
from referral_service.web.frame import frame, now
from referral_service.web.http import actor, client, sight, site
from referral_service.web.not_taken import LONGEST_REASON, tell_auditors
from referral_service.web.pages import OUR_ID, not_found
from referral_service.web.present import decision as present
from referral_service.web.present import nottaken
from referral_service.web.present.people import PATIENT_SYSTEMS
from referral_service.web.present.prefill import prefilled

blueprint = Blueprint("entering", __name__, url_prefix="/referrals/new")

_SOURCE = re.compile(rf"({OUR_ID})~([0-9]{{1,6}})")
_KEY = re.compile(r"[0-9a-f\-]{36}")
_SAVED_BEFORE = "This form has been saved before, with other content. Open a new one for another referral."


@dataclass(frozen=True, slots=True)
class Source:
    """What was not taken and is entered anew: its row and what may be seen of the text received."""

    name: str
    received_id: str
    position: int
    client: str
    at: datetime
    referral_id: str | None
    part: Part

    @property
    def entered(self) -> Entered:
        """What can be read of it."""
        place = self.part.places.get(self.position, self.position)
        return prefilled(self.part.body, place) if self.part.body else Entered()


@dataclass(frozen=True, slots=True)
class Form:
    """The form as it is filled in. ``key`` makes it one referral, however often it is sent."""

    entered: Entered
    attachment: Attachment | None
    key: str
    source: Source | None


@dataclass(frozen=True, slots=True)
class Seen:
    """What is shown before it is stored."""

    filled: Filled
    decision: Decision
    digest: str


@blueprint.get("")
def show_form() -> Any:
    """An empty form, or one with what can be read of something that was refused."""
    source = _source(request.args.get("source"))
    if source is not None and source.referral_id:
        return redirect(one_referral.address(source.referral_id), 303)
    if source is not None:
        tell_auditors(source.received_id, source.part)
    entered = source.entered if source is not None else Entered()
    return _page(Form(within_limits(entered), None, str(uuid4()), source))


@blueprint.post("")
def enter() -> Any:
    """Shows what would be decided; stores it once that has been seen."""
    check_form(3 * site().policy.attachment_megabytes * MEGABYTE + MEGABYTE)
    source, key = _source(field("source") or None), _key(field("key"))
    entered, (attachment, faults) = entered_fields(), attached()
    faults |= faults_of(entered) | _faults_of_taking(source)
    filled = entered_bundle(entered, attachment, key)
    form = Form(entered, attachment, key, source)
    incoming = _incoming(filled, key, source)
    if faults:
        return _page(form, faults), 422
    (decision,) = preview(site(), incoming)
    if decision.disposition is Disposition.REFUSED:
        return _page(form, _faults_of_intake(filled, decision)), 422
    if field("do") != "save" or field("seen") != _digest(incoming.body):
        return _page(form, {}, Seen(filled, decision, _digest(incoming.body)))
    return _save(form, incoming)


def _save(form: Form, incoming: Incoming) -> Any:
    before = _not_taken_as(incoming)
    if before is None:
        received = receive(site(), incoming, "Bundle")
        answers = (received.failed,) if received.failed else received.answers
        referral = next((one for one in answers if one.type == "ServiceRequest"), None)
        if referral is not None and referral.id:
            return redirect(one_referral.address(referral.id), 303)
        if received.failed is not None and received.failed.fault is FaultKind.CONFLICT:
            return _page(form, _faults_of_conflict(received.failed)), 409
        before = _not_taken_as(incoming)
    return redirect(url_for("not_taken.show_one", received_id=before), 303)


def _not_taken_as(incoming: Incoming) -> str | None:
    """What was rejected uses up no key; sent twice it is found by the form's own."""
    with site().store.reading() as connection:
        return stored.received_under(connection, incoming.client, incoming.request_id)


def _page(form: Form, faults: Faults | None = None, seen: Seen | None = None) -> str:
    with site().store.reading() as connection:
        around = frame(connection, "new", now())
    attachment, source = form.attachment, form.source
    return render_template(
        "new_referral.html",
        **around,
        values=asdict(form.entered),
        kept=attachment,
        kept_data=base64.b64encode(attachment.data).decode() if attachment else "",
        key=form.key,
        source=source.name if source else "",
        taking=field("taking") if request.method == "POST" else "",
        received_id=source.received_id if source else "",
        text=nottaken.text_of(source.part.body) if source is not None and source.part.body is not None else None,
        is_whole=source is None or source.part.is_whole,
        faults=faults or {},
        seen=seen,
        proposed=_proposed(form.entered, seen) if seen else None,
        systems=PATIENT_SYSTEMS,
        priorities=[one.value for one in Priority],
        types=sorted(site().policy.attachment_types),
        limits={one.name: limit(one.name) for one in fields(Entered)} | {"taking": LONGEST_REASON},
    )


def _proposed(entered: Entered, seen: Seen) -> present.Decision:
    envelope = Envelope(seen.filled.bundle)
    (referral,) = envelope.referrals()
    patient = PatientFacts(entered.birth_date or None, deceased=False)
    given = DecisionInput(read_referral(envelope, referral), patient, now().today)
    parameters = decision_parameters([seen.decision], site().code_versions)
    decided = orjson.dumps(parameters).decode()
    row = {"decision": decided, "machine_decision": None, "decision_input": facts_json(given).decode()}
    roots = {"ServiceRequest": referral.resource, "Bundle": seen.filled.bundle}
    return present.decision(row, roots, site().policy)


def _source(name: str | None) -> Source | None:
    if name is None:
        return None
    match = _SOURCE.fullmatch(name)
    with site().store.reading() as connection:
        rows, body = stored.of_request(connection, match[1]) if match else ([], None)
        row = next((one for one in rows if match and one["position"] == int(match[2])), None)
        if row is None:
            raise not_found("Nothing of this kind was received.")
        part = part_of(connection, sight(), row["received_id"], body)
    at = datetime.fromisoformat(row["at"])
    return Source(name, row["received_id"], row["position"], row["client"], at, row["referral_id"], part)


def _key(sent: str) -> str:
    if not _KEY.fullmatch(sent):
        raise not_found("This form is none of ours.")
    return sent


def _incoming(filled: Filled, key: str, source: Source | None) -> Incoming:
    """The Bundle at the door of the form; one that is entered anew belongs to who sent it first."""
    taking = Taking(source.received_id, source.position, source.at, field("taking")) if source else None
    return Incoming(
        client=source.client if source else client(),
        door="form",
        request_id=key,
        body=orjson.dumps(filled.bundle),
        at=http.now(),
        idempotency_key=key,
        by=actor(),
        taking=taking,
        access=http.access(),
    )


def _faults_of_taking(source: Source | None) -> Faults:
    if source is None or 0 < len(field("taking")) <= LONGEST_REASON:
        return {}
    return {"taking": f"Say in up to {LONGEST_REASON} characters why it is taken in."}


def _faults_of_intake(filled: Filled, decision: Decision) -> Faults:
    found: Faults = {}
    for issue in decision.issues:
        if issue.is_error:
            found.setdefault(filled.field_of(issue.expression), issue.diagnostics)
    return found


def _faults_of_conflict(answer: Answer) -> Faults:
    if any(issue.rule == "key-reused" for issue in answer.issues):
        return {"": _SAVED_BEFORE}
    return {"placer": " ".join(issue.diagnostics for issue in answer.issues if issue.is_error)}


def _digest(body: bytes) -> str:
    return sha256(body).hexdigest()
