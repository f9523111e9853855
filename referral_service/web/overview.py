"""The overview for leads, its tables as files, and the queues as files."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Blueprint, Response, render_template, request

from referral_service.intake.site import instant
from referral_service.issues import Fault, FaultKind, error
from referral_service.referral import Queue
from referral_service.store import overview as stored
from referral_service.store import worklist
from referral_service.web import exporting, http
from referral_service.web.exporting import csv_response
from referral_service.web.http import site
from referral_service.web.pages import around, known_of, not_found
from referral_service.web.present import charts, nottaken, overview, queue
from referral_service.web.present.overview import Table
from referral_service.web.present.words import Now

blueprint = Blueprint("overview", __name__)
SPANS = (4, 13, 26, 52)
_DEFAULT_SPAN = 13
_BATCH = 200


@blueprint.get("/overview")
def show_overview() -> str:
    """Who waits, what came and was decided, how long it took, what was held and why, what senders leave out."""
    span = _span()
    tables = _tables(span)
    with site().store.reading() as connection:
        frame = around(connection, "overview", worklist.counts(connection))
    weekly = tables["weeks"].rows
    drawn = charts.columns(
        [str(row[0]) for row in weekly], [int(row[1] or 0) for row in weekly], [int(row[4] or 0) for row in weekly]
    )
    return render_template(
        "overview.html",
        **frame,
        tables=list(tables.values()),
        facts=_facts(tables),
        drawn=drawn,
        span=span,
        spans=SPANS,
        say=overview.shown,
    )


@blueprint.get("/overview/<key>.csv")
def export_table(key: str) -> Response:
    """One table as a file."""
    tables = _tables(_span())
    if key not in tables:
        raise not_found("There is no such table.")
    return csv_response(key, tables[key].exported())


@blueprint.get("/worklist/<name>.csv")
def export_queue(name: str) -> Response:
    """Everyone who waits in a queue, as a file."""
    if name not in set(Queue):
        raise not_found("There is no such queue.")
    return csv_response(name, exporting.worklist(_lines(name)))


def _lines(name: str) -> Iterator[queue.Line]:
    now = Now(http.now(), site().policy.zone)
    after: worklist.Place | None = None
    with site().store.reading() as connection:
        while True:
            rows = worklist.page_of_queue(connection, name, after, _BATCH)
            known = known_of(connection, queue.wanted(rows))
            yield from (queue.line(row, known, now, site().policy) for row in rows)
            if len(rows) < _BATCH:
                return
            last = rows[-1]
            after = worklist.Place(last["red_flag"], last["priority_rank"], last["authored_on"], last["task_id"])


def _tables(span: int) -> dict[str, Table]:
    policy = site().policy
    now = Now(http.now(), policy.zone)
    mondays = overview.weeks(now, span)
    starts = [instant(overview.start_of(monday, now)) for monday in mondays]
    with site().store.reading() as connection:
        waiting = stored.waiting(connection, now.today.isoformat())
        since = stored.waiting_since(connection)
        received = stored.received(connection, starts)
        decided = stored.decided(connection, starts[0])
        corrected = stored.corrected(connection, starts[0])
    titles = {code: pair.cm.display for code, pair in site().vocabulary.pairs.items()}
    made = (
        overview.waiting(waiting, titles, now, policy),
        overview.by_week(mondays, received, decided, now),
        overview.waits(since, decided, now, policy),
        overview.held(received),
        overview.corrections(corrected, policy),
        overview.quality(received),
        overview.faults(received, nottaken.rule_names()),
    )
    return {table.key: table for table in made}


def _facts(tables: dict[str, Table]) -> dict[str, int]:
    """The few numbers that stand above all tables."""
    waiting, weekly = tables["waiting"].rows, tables["weeks"].rows
    return {
        "waiting": sum(int(row[3] or 0) for row in waiting),
        "overdue": sum(int(row[4] or 0) for row in waiting),
        "red_flags": sum(int(row[5] or 0) for row in waiting),
        "received": sum(int(row[1] or 0) for row in weekly),
        "held": sum(int(row[2] or 0) for row in weekly),
        "decided": sum(int(row[4] or 0) for row in weekly),
    }


def _span() -> int:
    asked = request.args.get("weeks", str(_DEFAULT_SPAN))
    if asked not in {str(one) for one in SPANS}:
        raise Fault(FaultKind.INVALID, error("value", "search-value", "This view is none of ours."))
    return int(asked)
