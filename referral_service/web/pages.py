"""The coordinators' page of one referral. Plain HTML that needs no script.

Addresses hold our own ids, queue names and places in an order, never anything of a patient. Every text shown is
escaped by Jinja; what is marked in it travels as pieces, never as markup.
"""

from __future__ import annotations

import re
from typing import Any

import orjson
from flask import Blueprint, render_template

from referral_service.issues import Fault, FaultKind, error
from referral_service.store import alerts, lookups, worklist
from referral_service.store.worklist import Reader
from referral_service.web.frame import CLOSED, frame, known_for, now, parsed
from referral_service.web.http import site
from referral_service.web.present import alert, decision, queue, referral, timeline, words

blueprint = Blueprint("pages", __name__)

OUR_ID = r"[A-Za-z0-9.\-]{1,64}"
INSTANT = r"[0-9T:.Z\-]{10,32}"


@blueprint.get("/referrals/<identity>")
def show_referral(identity: str) -> str:
    """One referral: who, what was decided and why, and what has happened since."""
    check_id(identity)
    policy = site().policy
    with site().store.reading() as connection:
        row = worklist.one_referral(connection, identity)
        if row is None:
            raise not_found("There is no such referral.")
        known = known_for(connection, referral.wanted(row))
        related = worklist.related_persons(connection, row["client"], row["patient_id"]) if row["patient_id"] else []
        changes = worklist.timeline(connection, row["task_id"])
        raised = alerts.of_referral(connection, identity)
        roots = _roots(connection, row)
        around = frame(connection, CLOSED if row["closed"] else row["queue"], now())
    is_masked = row["referral_status"] == queue.MASKED
    shown: dict[str, Any] = {} if is_masked else {
        "patient": referral.patient(row, known, related),
        "asked": referral.asked(row, known),
        "decision": decision.decision(row, roots, policy),
    }  # fmt: skip
    line = queue.line(row, known, around["now"], policy)
    events = timeline.timeline(changes, around["now"], policy)
    place = words.queue_name(row["queue"], policy)
    around |= {"events": events, "alerts": [alert.shown(one, around["now"], policy) for one in raised]}
    return render_template("referral.html", **around, **shown, is_masked=is_masked, row=row, line=line, place=place)


def _roots(connection: Reader, row: worklist.Row) -> dict[str, Any]:
    """What the evidence points into: the referral, and the Bundle that it came in when something beside it counted.

    None of it once the sender has withdrawn the referral: what is stored then is no longer what was decided on.
    """
    if row["referral_status"] == "revoked":
        return {}
    request = orjson.loads(row["request"])
    roots = {"ServiceRequest": request}
    if ".resolve()" in row["decision"]:
        listed = [*request.get("reasonReference", []), *request.get("supportingInfo", [])]
        wanted = {(row["client"], one["reference"]) for one in listed if "reference" in one}
        roots |= {name: record for (_, name), record in parsed(worklist.records(connection, wanted)).items()}
    if '"Bundle.' in row["decision"]:
        roots["Bundle"] = orjson.loads(lookups.received_text(connection, row["received_id"]) or b"{}")
    return roots


def place_of(pattern: re.Pattern[str], text: str | None) -> re.Match[str] | None:
    if text is None:
        return None
    match = pattern.fullmatch(text)
    if match is None:
        raise Fault(FaultKind.INVALID, error("invalid", "cursor", "This link to a further page is not one of ours."))
    return match


def check_id(identity: str) -> None:
    if not re.fullmatch(OUR_ID, identity):
        raise not_found("There is nothing at this address.")


def not_found(words: str) -> Fault:
    return Fault(FaultKind.NOT_FOUND, error("not-found", "not-found", words))
