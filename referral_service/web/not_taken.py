"""What was refused or rejected: listed, searched, and taken in by a coordinator who says why.

Coded filters stand in the address, so that a view can be kept and shared; words to look for come by POST only, for
they may name a patient.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date, datetime, time
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, url_for

from referral_service.intake import Answer, Incoming, Taking, take_in
from referral_service.intake.parts import Part, part_of, patients_in
from referral_service.intake.site import is_failed
from referral_service.intake.taking import is_readable
from referral_service.issues import Fault, FaultKind, error
from referral_service.store import alerts
from referral_service.store import nottaken as stored
from referral_service.store.engine import Connection, instant
from referral_service.store.nottaken import TAKEN_IN, Filters, Place
from referral_service.web import http, one_referral
from referral_service.web.auditing import listed
from referral_service.web.exporting import csv_response, not_taken
from referral_service.web.forms import check_form, field
from referral_service.web.frame import frame, now
from referral_service.web.http import actor, client, sight, site
from referral_service.web.pages import INSTANT, OUR_ID, check_id, not_found, place_of
from referral_service.web.present import alert, nottaken

blueprint = Blueprint("not_taken", __name__, url_prefix="/not-taken")
PAGE = 50
LONGEST_REASON = 1000
LONGEST_WORDS = 200
STATES = {"refused": "Refused", "rejected": "Rejected", TAKEN_IN: "Taken in since"}
_PLACE = re.compile(rf"([01])~({INSTANT})~({OUR_ID})~([0-9]{{1,6}})")
_BATCH = 200


@blueprint.get("")
def show_list() -> str | Response:
    """The list, by coded filters."""
    return _list(request.args, "")


@blueprint.post("")
def search_list() -> str | Response:
    """The same list, by words in the texts received too."""
    check_form()
    words = field("words")
    if len(words) > LONGEST_WORDS:
        raise Fault(FaultKind.INVALID, error("value", "search-value", "Look for fewer words."))
    return _list(request.form, words)


def _list(asked: Any, words: str) -> str | Response:
    chosen = {name: value for name in ("state", "rule", "sender", "flag", "since") if (value := asked.get(name))}
    filters, after = _filters(chosen), _place(asked.get("after") or None)
    matches = _holding(words) if words else None
    if asked.get("as") == "csv":
        listed(())
        return csv_response("not-taken", not_taken(_all(filters, matches)))
    with site().store.reading() as connection:
        rows = stored.page(connection, filters, after, PAGE + 1, matches)
        choices = stored.choices(connection)
        around = frame(connection, "not-taken", now())
    listed(())
    return render_template(
        "not_taken.html",
        **around,
        shown=[nottaken.not_taken(row, around["now"]) for row in rows[:PAGE]],
        following=_place_after(rows[PAGE - 1]) if len(rows) > PAGE else None,
        is_start=after is None,
        chosen=chosen,
        words=words,
        choices=choices,
        rule_names=nottaken.rule_names(),
        states=STATES,
    )


def _holding(words: str) -> stored.Matches:
    """Words are looked for in what its reader may see of a text, and nowhere else."""

    def matches(connection: Connection, row: stored.Row) -> bool:
        body = bytes(row["body"])
        if not nottaken.holds(body, words):
            return False
        part = part_of(connection, sight(), row["received_id"], body)
        return part.is_whole or (part.body is not None and nottaken.holds(part.body, words))

    return matches


def _all(filters: Filters, matches: stored.Matches | None) -> Iterator[nottaken.NotTaken]:
    at = now()
    after: Place | None = None
    with site().store.reading() as connection:
        while True:
            rows = stored.page(connection, filters, after, _BATCH, matches)
            yield from (nottaken.not_taken(row, at) for row in rows)
            if len(rows) < _BATCH:
                return
            after = stored.place_of(rows[-1])


def _filters(chosen: dict[str, str]) -> Filters:
    if chosen.get("state", TAKEN_IN) not in STATES or chosen.get("flag", "red-flag") != "red-flag":
        raise Fault(FaultKind.INVALID, error("value", "search-value", "This view is none of ours."))
    since = chosen.get("since")
    return Filters(
        state=chosen.get("state"),
        rule=chosen.get("rule"),
        client=chosen.get("sender"),
        red_flag="flag" in chosen,
        since=_start_of_day(since) if since else None,
    )


def _start_of_day(since: str) -> str:
    try:
        return instant(datetime.combine(date.fromisoformat(since), time.min, site().policy.zone))
    except (ValueError, OverflowError) as problem:
        words = "Say since which day, as in 2026-03-16."
        raise Fault(FaultKind.INVALID, error("value", "search-value", words)) from problem


@blueprint.get("/<received_id>")
def show_one(received_id: str) -> str:
    """One request that was not taken, or not all of it: every reason, and the text as far as it is in sight."""
    return _one(received_id, {})


def _one(received_id: str, problem: dict[str, Any]) -> str:
    check_id(received_id)
    with site().store.reading() as connection:
        rows, body = stored.of_request(connection, received_id)
        part = part_of(connection, sight(), received_id, body) if rows else None
        readable = [body is not None and is_readable(connection, body, row) for row in rows]
        raised = alerts.of_request(connection, received_id)
        around = frame(connection, "not-taken", now())
    if part is None:
        raise not_found("Nothing of this kind was received.")
    tell_auditors(received_id, part)
    return render_template(
        "one_not_taken.html",
        **around,
        shown=list(zip((nottaken.not_taken(row, around["now"]) for row in rows), readable, strict=True)),
        text=nottaken.text_of(part.body) if part.body is not None else None,
        is_whole=part.is_whole,
        received_id=received_id,
        problem=problem,
        alerts=[alert.shown(one, around["now"], site().policy) for one in raised],
        longest=LONGEST_REASON,
    )


def tell_auditors(received_id: str, part: Part) -> None:
    """A text that was not taken is no resource; whom it names is told as far as they are here."""
    with site().store.reading() as connection:
        patients = patients_in(connection, part, site().public_url)
    listed(sorted(patients), (), f"not-taken/{received_id}")


@blueprint.get("/<received_id>/text")
def show_text(received_id: str) -> Response:
    """The text received, byte for byte when all of it is in sight, and never as anything that a browser would run."""
    check_id(received_id)
    with site().store.reading() as connection:
        rows, body = stored.of_request(connection, received_id)
        part = part_of(connection, sight(), received_id, body) if rows else None
    if part is None or part.body is None:
        raise not_found("There is no such text, or it is no longer kept.")
    tell_auditors(received_id, part)
    return Response(part.body, content_type="text/plain; charset=utf-8")


@blueprint.post("/<received_id>/<int:position>/take-in")
def take_one_in(received_id: str, position: int) -> Any:
    """A coordinator takes it in, as it came; what cannot be read goes to the form, with what can be read in it."""
    check_form()
    check_id(received_id)
    reason = field("reason")
    if not reason or len(reason) > LONGEST_REASON:
        words = f"Say in up to {LONGEST_REASON} characters why it is taken in."
        return _one(received_id, {"position": position, "words": words, "reason": reason}), 422
    answer = take_in(site(), _by_hand(), _taking(received_id, position, reason))
    if answer.fault is FaultKind.INVALID:
        return redirect(url_for("entering.show_form", source=f"{received_id}~{position}"), 303)
    if is_failed(answer):
        return _not_taken_in(received_id, position, reason, answer)
    return redirect(one_referral.address(str(answer.id)), 303)


def _not_taken_in(received_id: str, position: int, reason: str, answer: Answer) -> Any:
    if answer.fault is not FaultKind.CONFLICT:
        assert answer.fault is not None
        raise Fault(answer.fault, *answer.issues)
    words = "The sender has sent this referral again since, and it was taken then."
    problem = {"position": position, "words": words, "reason": reason, "here": answer.id}
    return _one(received_id, problem), http.STATUS[answer.fault]


def _by_hand() -> Incoming:
    """The request of whoever sits at the page; its text and client are those of what is taken in."""
    return Incoming(client(), "page", http.request_id(), b"", http.now(), by=actor(), access=http.access())


def _taking(received_id: str, position: int, reason: str) -> Taking:
    with site().store.reading() as connection:
        rows, _ = stored.of_request(connection, received_id)
    at = next((row["at"] for row in rows if row["position"] == position), None)
    if at is None:
        raise not_found("Nothing of this kind was received.")
    return Taking(received_id, position, datetime.fromisoformat(at), reason)


def _place(text: str | None) -> Place | None:
    match = place_of(_PLACE, text)
    return Place(int(match[1]), match[2], match[3], int(match[4])) if match else None


def _place_after(row: stored.Row) -> str:
    return "~".join(str(value) for value in asdict(stored.place_of(row)).values())
