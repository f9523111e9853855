"""The coordinators' pages of one referral and of what was not taken. Plain HTML that needs no script.

Addresses hold our own ids, queue names and places in an order, never anything of a patient. Every text shown is
escaped by Jinja; what is marked in it travels as pieces, never as markup.
"""

from __future__ import annotations

import re

from flask import Blueprint, Response, render_template, request

from referral_service.issues import Fault, FaultKind, error
from referral_service.store import alerts, worklist
from referral_service.store.worklist import NotTakenPlace
from referral_service.web import one_referral
from referral_service.web.frame import frame, now
from referral_service.web.http import site
from referral_service.web.present import alert, nottaken

blueprint = Blueprint("pages", __name__)
PAGE = 50

_OUR_ID = r"[A-Za-z0-9.\-]{1,64}"
_INSTANT = r"[0-9T:.Z\-]{10,32}"
_NOT_TAKEN_PLACE = re.compile(rf"([01])~({_INSTANT})~({_OUR_ID})~([0-9]{{1,6}})")


@blueprint.get("/referrals/<identity>")
def show_referral(identity: str) -> str:
    """One referral: who, what was decided and why, what has happened since, and what may be done now."""
    _check_id(identity)
    return render_template("referral.html", **one_referral.page(identity, done=request.args.get("done", "")))


@blueprint.get("/not-taken")
def show_not_taken() -> str:
    """What was refused or rejected, so that nobody is lost because a machine could not read a request."""
    after = _not_taken_place(request.args.get("after"))
    with site().store.reading() as connection:
        rows = worklist.not_taken(connection, after, PAGE + 1)
        around = frame(connection, "not-taken", now())
    shown = [nottaken.not_taken(row, around["now"]) for row in rows[:PAGE]]
    following = _not_taken_place_after(rows[PAGE - 1]) if len(rows) > PAGE else None
    return render_template("not_taken.html", **around, shown=shown, following=following, is_start=after is None)


@blueprint.get("/not-taken/<received_id>")
def show_one_not_taken(received_id: str) -> str:
    """One request that was not taken, or not all of it: every reason, and the text received."""
    _check_id(received_id)
    with site().store.reading() as connection:
        rows, body = worklist.not_taken_of(connection, received_id)
        raised = alerts.of_request(connection, received_id)
        around = frame(connection, "not-taken", now())
    if not rows:
        raise _not_found("Nothing of this kind was received.")
    shown = [nottaken.not_taken(row, around["now"]) for row in rows]
    text = nottaken.text_of(body) if body is not None else None
    around["alerts"] = [alert.shown(one, around["now"], site().policy) for one in raised]
    return render_template("one_not_taken.html", **around, shown=shown, text=text, received_id=received_id)


@blueprint.get("/not-taken/<received_id>/text")
def show_text(received_id: str) -> Response:
    """The text received, byte for byte, and never as anything that a browser would run."""
    _check_id(received_id)
    with site().store.reading() as connection:
        rows, body = worklist.not_taken_of(connection, received_id)
    if not rows or body is None:
        raise _not_found("There is no such text, or it is no longer kept.")
    return Response(body, content_type="text/plain; charset=utf-8")


def _not_taken_place(text: str | None) -> NotTakenPlace | None:
    match = place_of(_NOT_TAKEN_PLACE, text)
    return NotTakenPlace(int(match[1]), match[2], match[3], int(match[4])) if match else None


def _not_taken_place_after(row: worklist.Row) -> str:
    return f"{row['red_flag']}~{row['at']}~{row['received_id']}~{row['position']}"


def place_of(pattern: re.Pattern[str], text: str | None) -> re.Match[str] | None:
    if text is None:
        return None
    match = pattern.fullmatch(text)
    if match is None:
        raise Fault(FaultKind.INVALID, error("invalid", "cursor", "This link to a further page is not one of ours."))
    return match


def _check_id(identity: str) -> None:
    if not re.fullmatch(_OUR_ID, identity):
        raise _not_found("There is nothing at this address.")


def _not_found(words: str) -> Fault:
    return Fault(FaultKind.NOT_FOUND, error("not-found", "not-found", words))
