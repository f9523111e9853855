"""The audit trail as FHIR, for auditors: AuditEvents searched and read. Nobody writes one from outside.

The newest come first; a page that follows begins behind the last event of the one before, so that what is added while
somebody reads neither repeats an event nor hides one.
"""

from __future__ import annotations

from typing import Any

import orjson
from flask import Blueprint, Response

from referral_service.fhir.search import (
    Criterion,
    Cursor,
    DateValue,
    ReferenceValue,
    SearchQuery,
    TokenValue,
    Total,
    next_url,
    self_url,
    subset,
)
from referral_service.fhir.writer import outcome
from referral_service.issues import Fault, FaultKind, error
from referral_service.store import trail
from referral_service.store.trail import Row, Wanted
from referral_service.web.asking import asked, form_parameters, url_parameters
from referral_service.web.auditing import listed
from referral_service.web.http import fhir_base, fhir_response, site

blueprint = Blueprint("auditor", __name__, url_prefix="/fhir/AuditEvent")
_KIND = "AuditEvent"
_SYSTEMS = {
    "action": "http://hl7.org/fhir/audit-event-action",
    "outcome": "http://hl7.org/fhir/audit-event-outcome",
}


@blueprint.get("")
def search_by_url() -> Response:
    return _search(url_parameters())


@blueprint.post("/_search")
def search_by_form() -> Response:
    return _search(form_parameters())


@blueprint.get("/<identity>")
def read(identity: str) -> Response:
    with site().store.reading() as connection:
        row = trail.one(connection, identity)
    if row is None:
        raise Fault(FaultKind.NOT_FOUND, error("not-found", "not-found", "There is no such AuditEvent."))
    return fhir_response(row["content"])


def _search(parameters: list[tuple[str, str]]) -> Response:
    query, whole = asked(_KIND, parameters)
    wanted = _wanted(query)
    with site().store.reading() as connection:
        rows = [] if query.only_counts else trail.find(connection, wanted, query.count + 1)
        total = _total(query, rows)
        if total is None and (query.only_counts or query.total in (Total.ACCURATE, Total.ESTIMATE)):
            total = trail.count(connection, wanted)
    listed((), whole, _KIND)
    return fhir_response(_bundle(query, rows, total))


def _total(query: SearchQuery, rows: list[Row]) -> int | None:
    """Known without counting when the first page is the whole."""
    is_whole = not query.only_counts and query.after is None and len(rows) <= query.count
    return len(rows) if is_whole and query.total is not Total.NONE else None


def _wanted(query: SearchQuery) -> Wanted:
    asked: dict[str, list[Any]] = {}
    for one in query.criteria:
        name, values = _read(one)
        asked.setdefault(name, []).append(values)
    after = query.after
    return Wanted(
        **{name: tuple(values) for name, values in asked.items()},
        after=(after.values[0] or "", after.id) if after is not None else None,
    )


_FIELDS = {"date": "dates", "agent": "actors", "_id": "ids", "action": "actions", "outcome": "outcomes"}


def _read(criterion: Criterion) -> tuple[str, tuple[Any, ...]]:
    if criterion.name in ("patient", "entity"):
        references = (one for one in criterion.values if isinstance(one, ReferenceValue))
        return "references", tuple(name for one in references for name in one.names(fhir_base()))
    if criterion.name == "date":
        return "dates", tuple(one for one in criterion.values if isinstance(one, DateValue))
    system = _SYSTEMS.get(criterion.name)
    tokens = (one for one in criterion.values if isinstance(one, TokenValue))
    return _FIELDS[criterion.name], tuple(one.code or "" for one in tokens if one.system in (None, "", system))


def _bundle(query: SearchQuery, rows: list[Row], total: int | None) -> dict[str, Any]:
    base, page = fhir_base(), rows[: query.count]
    links = [{"relation": "self", "url": self_url(query, base)}]
    if len(rows) > query.count and page:
        place = Cursor((page[-1]["at"],), page[-1]["id"])
        links.append({"relation": "next", "url": next_url(query, base, place)})
    entries: list[dict[str, Any]] = [
        {
            "fullUrl": f"{base}/{_KIND}/{row['id']}",
            "resource": orjson.Fragment(subset(row["content"], query.summary, query.elements)),
            "search": {"mode": "match"},
        }
        for row in page
    ]
    if query.warnings:
        entries.append({"resource": outcome(query.warnings), "search": {"mode": "outcome"}})
    found: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "link": links}
    return found | ({"total": total} if total is not None else {}) | ({"entry": entries} if entries else {})
