"""The coordinators' pages: the queues and one referral. Plain HTML that needs no script.

Addresses hold our own ids, queue names and places in an order, never anything of a patient. Every text shown is
escaped by Jinja; what is marked in it travels as pieces, never as markup.
"""

from __future__ import annotations

import re
from typing import Any

import orjson
from flask import Blueprint, render_template, request

from referral_service.issues import Fault, FaultKind, error
from referral_service.referral import Queue
from referral_service.store import ledger, lookups, worklist
from referral_service.store.worklist import Count, Place, Reader
from referral_service.web.http import now as clock
from referral_service.web.http import site
from referral_service.web.present import decision, queue, referral, timeline, words
from referral_service.web.present.people import Key, Known
from referral_service.web.present.words import Now

blueprint = Blueprint("pages", __name__)
PAGE = 50

OUR_ID = r"[A-Za-z0-9.\-]{1,64}"
INSTANT = r"[0-9T:.Z\-]{10,32}"
_PLACE = re.compile(rf"([01])~([0-9])~({INSTANT})~({OUR_ID})")


@blueprint.get("/")
def show_queue() -> str:
    """One queue, in the order in which it should be worked."""
    after = _place(request.args.get("after"))
    with site().store.reading() as connection:
        counts = worklist.counts(connection)
        chosen = _chosen(request.args.get("queue"), counts)
        rows = worklist.page_of_queue(connection, chosen, after, PAGE + 1)
        known = known_of(connection, queue.wanted(rows[:PAGE]))
        frame = around(connection, chosen, counts)
    lines = [queue.line(row, known, frame["now"], site().policy) for row in rows[:PAGE]]
    following = _place_after(rows[PAGE - 1]) if len(rows) > PAGE else None
    total = counts.get(chosen, Count())
    return render_template("queue.html", **frame, lines=lines, total=total, following=following, is_start=after is None)


@blueprint.get("/referrals/<identity>")
def show_referral(identity: str) -> str:
    """One referral: who, what was decided and why, and what has happened since."""
    check_id(identity)
    policy = site().policy
    with site().store.reading() as connection:
        row = worklist.one_referral(connection, identity)
        if row is None:
            raise not_found("There is no such referral.")
        known = known_of(connection, referral.wanted(row))
        related = worklist.related_persons(connection, row["client"], row["patient_id"]) if row["patient_id"] else []
        changes = worklist.timeline(connection, row["task_id"])
        roots = _roots(connection, row)
        frame = around(connection, row["queue"], worklist.counts(connection))
    is_masked = row["referral_status"] == queue.MASKED
    shown: dict[str, Any] = {} if is_masked else {
        "patient": referral.patient(row, known, related),
        "asked": referral.asked(row, known),
        "decision": decision.decision(row, roots, policy),
    }  # fmt: skip
    line = queue.line(row, known, frame["now"], policy)
    events = timeline.timeline(changes, frame["now"], policy)
    place = words.queue_name(row["queue"], policy)
    return render_template(
        "referral.html", **frame, **shown, is_masked=is_masked, row=row, line=line, place=place, events=events
    )


def around(connection: Reader, current: str, counts: dict[str, Count]) -> dict[str, Any]:
    """What every page shows around its own matter."""
    policy = site().policy
    sums = ledger.sums(connection)
    tabs = [(name, policy.queues[name], counts.get(name, Count())) for name in Queue]
    return {
        "current": current,
        "tabs": tabs,
        "sums": sums,
        "not_taken_count": sums["refused"] + sums["rejected"],
        "now": Now(clock(), policy.zone),
        "policy": policy,
    }


def _chosen(wanted: str | None, counts: dict[str, Count]) -> str:
    """The queue asked for; else the first with a red flag, else the first with anything in it."""
    if wanted is not None:
        if wanted not in set(Queue):
            raise not_found("There is no such queue.")
        return wanted
    with_red_flag = [name for name in Queue if counts.get(name, Count()).red_flags]
    not_empty = [name for name in Queue if counts.get(name, Count()).open]
    return next(iter((*with_red_flag, *not_empty)), Queue.REVIEW).value


def known_of(connection: Reader, wanted: Any) -> Known:
    """The resources that references lead to, and whom the roles among them stand for."""
    first = _parsed(worklist.records(connection, wanted))
    second = _parsed(worklist.records(connection, queue.ends_of_roles(Known(first)) - set(first)))
    return Known({**first, **second})


def _parsed(texts: dict[Key, str]) -> dict[Key, Any]:
    return {key: orjson.loads(text) for key, text in texts.items()}


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
        roots |= {name: record for (_, name), record in _parsed(worklist.records(connection, wanted)).items()}
    if '"Bundle.' in row["decision"]:
        roots["Bundle"] = orjson.loads(lookups.received_text(connection, row["received_id"]) or b"{}")
    return roots


def _place(text: str | None) -> Place | None:
    match = matched(_PLACE, text)
    return Place(int(match[1]), int(match[2]), match[3], match[4]) if match else None


def _place_after(row: worklist.Row) -> str:
    return f"{row['red_flag']}~{row['priority_rank']}~{row['authored_on']}~{row['task_id']}"


def matched(pattern: re.Pattern[str], text: str | None) -> re.Match[str] | None:
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
