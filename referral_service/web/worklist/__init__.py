"""The worklist: queues as tabs, a list that sorts, filters and refreshes itself. It works without a script too.

``GET /`` is a list by codes alone, which can be kept and passed on. ``POST /`` is the same narrowed to a name or an
identifier, which never stands in an address. ``/refresh`` gives the changing part of either, or nothing when nothing
has changed.
"""

from __future__ import annotations

from datetime import date, timedelta
from hashlib import sha256
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from referral_service.issues import Fault, FaultKind, error
from referral_service.store import listing, worklist
from referral_service.store.listing import Stamp
from referral_service.store.worklist import Reader
from referral_service.web.auditing import listed
from referral_service.web.frame import first_to_open, frame, kept, known_for, now, stamp
from referral_service.web.http import person, queues_seen, site
from referral_service.web.present import queue, words
from referral_service.web.present.words import Now
from referral_service.web.sessions import check_token, form_token
from referral_service.web.worklist import news
from referral_service.web.worklist.asked import Asked, code_of, listing_of, place_of, place_text, read
from referral_service.web.worklist.choices import BULK, ORDERS, menus

blueprint = Blueprint("worklist", __name__)
PAGE = 50
WENT = "went"
"""Names the queue that a referral went to, out of the sight of whoever sent it there."""
TEXT = 100
"""Longest text that is looked for, in characters."""


@blueprint.app_template_filter("day")
def day_in_words(iso: str) -> str:
    return words.day(date.fromisoformat(iso))


@blueprint.get("/")
def show() -> str:
    """One list, in the order in which it should be worked."""
    with site().store.reading() as connection:
        went = next((words for name, words in site().policy.queues.items() if name == request.args.get(WENT)), "")
        return render_template("worklist.html", **shown(connection, asked_for(connection)), went=went)


@blueprint.post("/")
def find() -> AnyResponse | str:
    """The list narrowed to who goes by a name or an identifier."""
    check_token()
    if not request.form.get("text", "").strip():
        return redirect(f"{url_for('worklist.show')}?{request.query_string.decode()}", 303)
    with site().store.reading() as connection:
        return render_template("worklist.html", **shown(connection, asked_for(connection)))


@blueprint.get("/refresh")
def refresh() -> Response:
    return _refreshed(304)


@blueprint.post("/refresh")
def refresh_found() -> Response:
    check_token()
    return _refreshed(204)


def _refreshed(unchanged: int) -> Response:
    """The list again with its tabs and what is new since; nothing at all when nothing has changed."""
    at = now()
    with site().store.reading() as connection:
        stamped = stamp(connection, at)
        etag = _etag(stamped, at)
        if request.headers.get("If-None-Match") == etag:
            return Response(status=unchanged, headers={"ETag": etag})
        part = _list(connection, asked_for(connection), at, stamped)
        before = news.read(request.args)
        told = news.told(connection, before, queues_seen(), part["red_flags"], at, site().policy)
    return Response(render_template("worklist_refresh.html", **part, told=told), headers={"ETag": etag})


def asked_for(connection: Reader) -> Asked:
    """What is asked for; without a queue the first that waits most for somebody to look at it."""
    text = " ".join(request.form.get("text", "").split())
    if len(text) > TEXT or "\0" in text:
        raise Fault(FaultKind.INVALID, error("too-long", "too-large", f"Type no more than {TEXT} letters or digits."))
    given = {name: value for name, value in request.args.items() if name not in (*news.PARAMETERS, WENT)}
    if request.form.get("after"):
        given["after"] = request.form["after"]
    queues, counts = queues_seen(), {}
    if not given.get("queue"):
        counts = kept(connection, stamp(connection, now()), worklist.counts)
    return read(given, queues, first_to_open(counts, queues), text)


def shown(connection: Reader, asked: Asked) -> dict[str, Any]:
    """All that the page of a list is made from."""
    at = now()
    stamped = stamp(connection, at)
    return {**_list(connection, asked, at, stamped), **_choices(connection, asked, stamped)}


def _list(connection: Reader, asked: Asked, at: Now, stamped: Stamp) -> dict[str, Any]:
    """The rows of one page with all that stands around them.

    What was seen is what is stamped: what changes in between is shown now and told of the next time.
    """
    around = frame(connection, asked.name, at, stamped)
    people = kept(connection, stamped, listing.assignees, queues_seen()) if "assignee" in asked.values else []
    names = {code_of(name): name for name in people}
    wanted = listing_of(asked, at.today, site().policy, person(), names)
    after = place_of(asked.after, asked.sort) if asked.after else None
    rows, found = listing.page(connection, wanted, after, PAGE + 1)
    listed([row["patient_id"] for row in rows[:PAGE]])
    known = known_for(connection, queue.wanted(rows[:PAGE]))
    return {
        **around,
        "etag": _etag(stamped, at),
        "asked": asked,
        "heading": next(tab.words for tab in around["tabs"] if tab.name == asked.name),
        "orders": ORDERS,
        "lines": [queue.line(row, known, at, site().policy) for row in rows[:PAGE]],
        "following": place_text(rows[PAGE - 1]["place"]) if len(rows) > PAGE else None,
        "is_start": asked.after is None,
        "found": found,
        "seen": news.Seen(stamped.last, around["red_flags"]),
        "actions": {} if asked.closed else BULK,
    }


def _choices(connection: Reader, asked: Asked, stamped: Stamp) -> dict[str, Any]:
    senders = [*kept(connection, stamped, listing.senders, asked.closed, asked.queues)]
    chosen = asked.values.get("sender")
    if chosen and chosen not in dict(senders):
        senders.append((chosen, listing.sender_name(connection, chosen) or "a sender not known here"))
    people = [(code_of(name), name) for name in kept(connection, stamped, listing.assignees, asked.queues)]
    return {"menus": menus(site().policy, asked.closed, senders, people)}


def _etag(stamped: Stamp, at: Now) -> str:
    """Stays the same while nothing has changed and nothing on the page reads otherwise for the time that has passed.

    Waits are told by the minute in the first hour, and by the hour after it.
    """
    is_recent = stamped.last[:16] > (at.at - timedelta(hours=1)).isoformat()[:16]
    hour = at.at.astimezone(at.zone).isoformat()[: 16 if is_recent else 13]
    changed = (stamped.last, stamped.changes, stamped.versions, stamped.not_taken)
    # The forms of the list carry the token of the session that they are made for.
    whole = f"{changed} {hour} {site().package_version} {site().policy.label} {form_token()}"
    return f'"{sha256(whole.encode()).hexdigest()[:20]}"'
