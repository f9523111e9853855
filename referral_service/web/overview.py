"""The overview for leads, its tables as files, and the queues as files."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Blueprint, Response, render_template, request

from referral_service.issues import Fault, FaultKind, error
from referral_service.store import listing
from referral_service.store import overview as stored
from referral_service.store.engine import instant
from referral_service.web import exporting
from referral_service.web.auditing import listed, record_listed
from referral_service.web.exporting import csv_response
from referral_service.web.frame import ALL, frame, known_for, now
from referral_service.web.http import person, site
from referral_service.web.pages import not_found
from referral_service.web.present import charts, nottaken, overview, queue
from referral_service.web.present.overview import Table
from referral_service.web.worklist.asked import Asked, code_of, listing_of, read

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
        around = frame(connection, "overview", now())
    weekly = tables["weeks"].rows
    drawn = charts.columns(
        [str(row[0]) for row in weekly], [int(row[1] or 0) for row in weekly], [int(row[4] or 0) for row in weekly]
    )
    return render_template(
        "overview.html",
        **around,
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


@blueprint.get("/worklist.csv")
def export_list() -> Response:
    """A list of the worklist as a file, through the same filters and in the same order as on its page."""
    given = {name: value for name, value in request.args.items() if name != "after"}
    asked = read(given, ALL)
    listed(())
    return csv_response(asked.name, exporting.worklist(_lines(asked)))


def _lines(asked: Asked) -> Iterator[queue.Line]:
    at, policy = now(), site().policy
    after: listing.Place | None = None
    with site().store.reading() as connection:
        names = {code_of(name): name for name in listing.assignees(connection)}
        wanted = listing_of(asked, at.today, policy, person(), names)
        while True:
            rows, _ = listing.page(connection, wanted, after, _BATCH)
            record_listed([row["patient_id"] for row in rows])
            known = known_for(connection, queue.wanted(rows))
            yield from (queue.line(row, known, at, policy) for row in rows)
            if len(rows) < _BATCH:
                return
            after = rows[-1]["place"]


def _tables(span: int) -> dict[str, Table]:
    policy = site().policy
    at = now()
    mondays = overview.weeks(at, span)
    starts = [instant(overview.start_of(monday, at)) for monday in mondays]
    with site().store.reading() as connection:
        waiting = stored.waiting(connection, at.today.isoformat())
        ranks = overview.ranks(waiting)
        at_ranks = {one: stored.received_at_rank(connection, *one) for one in ranks}
        received = stored.received(connection, starts[0])
        weekly = stored.received_by_week(connection, starts, overview.HELD)
        decided = stored.decided(connection, starts[0])
        corrected = stored.corrected(connection, starts[0])
    titles = {code: pair.cm.display for code, pair in site().vocabulary.pairs.items()}
    made = (
        overview.waiting(waiting, titles, at, policy),
        overview.by_week(mondays, starts, weekly, decided),
        overview.waits(waiting, at_ranks, decided, at, policy),
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
