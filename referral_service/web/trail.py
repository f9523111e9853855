"""The audit trail for auditors: all of it, narrowed as they like, and who has touched the records of one patient."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import Any

from flask import Blueprint, render_template, request

from referral_service.access.callers import Kind
from referral_service.fhir.search import DateValue, Prefix
from referral_service.issues import Fault, FaultKind, error
from referral_service.store import audit
from referral_service.store import trail as stored
from referral_service.store.engine import instant
from referral_service.store.trail import Wanted
from referral_service.store.worklist import Reader
from referral_service.web.auditing import listed
from referral_service.web.frame import frame, now
from referral_service.web.http import caller, site
from referral_service.web.pages import INSTANT, OUR_ID, check_id, place_of
from referral_service.web.present.trail import ACTIONS, OUTCOMES, line
from referral_service.web.rules import COORDINATING

blueprint = Blueprint("trail", __name__, url_prefix="/audit")
PAGE = 100
LONGEST = 2000
"""Of one patient's list, which is shown and printed whole."""

FILTERS = ("from", "to", "person", "patient", "action", "outcome")
_PLACE = re.compile(rf"({INSTANT})~({OUR_ID})")


@blueprint.get("")
def show() -> str:
    """Every access, the newest first, narrowed by what stands in the address: codes, days and ids of ours."""
    chosen = {name: value for name in FILTERS if (value := request.args.get(name, "").strip())}
    wanted = _wanted(chosen)
    match = place_of(_PLACE, request.args.get("after"))
    after = (match[1], match[2]) if match else None
    with site().store.reading() as connection:
        rows = stored.find(connection, _behind(wanted, after), PAGE + 1)
        people = stored.actors(connection)
        state = _state(connection)
        around = _around(connection)
    listed(())
    return render_template(
        "audit.html",
        **around,
        lines=[line(row, now()) for row in rows[:PAGE]],
        following=f"{rows[PAGE - 1]['at']}~{rows[PAGE - 1]['id']}" if len(rows) > PAGE else None,
        is_start=after is None,
        chosen=chosen,
        people=people,
        actions=ACTIONS,
        outcomes=OUTCOMES,
        state=state,
    )


@blueprint.get("/patients/<identity>")
def show_patient(identity: str) -> str:
    """Who looked at one patient's records, when and what, whole and to be printed."""
    check_id(identity)
    chosen = {name: value for name in ("from", "to") if (value := request.args.get(name, "").strip())}
    with site().store.reading() as connection:
        rows = stored.find(connection, _wanted({**chosen, "patient": identity}), LONGEST + 1)
        around = _around(connection)
    listed([identity] if rows else [])
    lines = [line(row, now()) for row in rows[:LONGEST]]
    cut = len(rows) > LONGEST
    return render_template(
        "audit_patient.html", **around, lines=lines, identity=identity, chosen=chosen, is_cut=cut, longest=LONGEST
    )


def _around(connection: Reader) -> dict[str, Any]:
    """The tabs are for those who work on the lists; an auditor alone sees none."""
    if caller().kind is Kind.ANYONE or caller().has_role(COORDINATING):
        return frame(connection, "audit", now())
    return {"current": "audit", "now": now(), "policy": site().policy}


def _state(connection: Reader) -> dict[str, Any]:
    last = audit.last_seal(connection)
    return {
        "sealed": last["last"] if last else 0,
        "sealed_at": now().moment(last["sealed_at"]) if last else None,
        "tail": audit.unsealed(connection),
    }


def _wanted(chosen: dict[str, str]) -> Wanted:
    if chosen.get("action", "R") not in ACTIONS or chosen.get("outcome", "0") not in OUTCOMES:
        raise Fault(FaultKind.INVALID, error("value", "search-value", "This view is none of ours."))
    patient = chosen.get("patient", "")
    if patient and not re.fullmatch(OUR_ID, patient):
        raise Fault(FaultKind.INVALID, error("value", "search-value", "That is no id of a patient here."))
    days = [(Prefix.GE, chosen.get("from"), 0), (Prefix.LT, chosen.get("to"), 1)]
    dates = tuple((_day(prefix, day, later),) for prefix, day, later in days if day)
    return Wanted(
        dates=dates,
        actors=_one(chosen.get("person")),
        references=_one(f"Patient/{patient}" if patient else None),
        actions=_one(chosen.get("action")),
        outcomes=_one(chosen.get("outcome")),
    )


def _behind(wanted: Wanted, after: tuple[str, str] | None) -> Wanted:
    return Wanted(wanted.dates, wanted.actors, wanted.references, wanted.actions, wanted.outcomes, wanted.ids, after)


def _one(value: str | None) -> tuple[tuple[str, ...], ...]:
    return ((value,),) if value else ()


def _day(prefix: Prefix, day: str, later: int) -> DateValue:
    """Where a day of the site's zone begins, or the one after it."""
    try:
        begins = datetime.combine(date.fromisoformat(day) + timedelta(days=later), time.min, site().policy.zone)
        at = instant(begins)
    except (ValueError, OverflowError) as problem:
        words = "Say the day as in 2026-03-16."
        raise Fault(FaultKind.INVALID, error("value", "search-value", words)) from problem
    return DateValue(prefix, at, at)
