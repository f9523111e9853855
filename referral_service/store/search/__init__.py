"""Search in the database: one page of rows, what is to be included, and the Bundle pasted together from their texts.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from sqlalchemy import Column, Connection, Table, select

from referral_service.fhir import writer
from referral_service.fhir.search import SearchQuery, Total, next_url, self_url, subset
from referral_service.store import tables
from referral_service.store.search.columns import TABLES
from referral_service.store.search.matching import Resolve, Scope
from referral_service.store.search.paging import count_statement, place_of
from referral_service.store.search.standing import Row, rows_of_page
from referral_service.store.sight import Sight, in_sight

__all__ = ["search"]

Text = tuple[str, str, str]
"""Type, id and stored text of a resource."""
_PATIENT_INCLUDES = frozenset({"Task:patient", "ServiceRequest:subject", "ServiceRequest:patient"})


def search(
    connection: Connection,
    sight: Sight,
    query: SearchQuery,
    *,
    base_url: str,
    resolve: Resolve,
    patients: set[str] | None = None,
) -> bytes:
    """The searchset Bundle as JSON, from the rows in sight alone.

    ``base_url`` is the address of ``/fhir`` without a slash at its end; ``resolve`` gives our reference
    (``Patient/…``) for one by which the client knows its own resource, None when there is none;
    ``patients`` is filled with the ids of those whom the answer names.
    """
    scope = Scope(sight, base_url, resolve)
    if query.only_counts:
        return _bundle(query, base_url, connection.execute(count_statement(scope, query)).scalar_one(), [])
    rows = rows_of_page(connection, scope, query)
    page, has_more = rows[: query.count], len(rows) > query.count
    if patients is not None:
        patients |= {row["id"] if query.kind == "Patient" else row["patient_id"] for row in page} - {None}
    entries = [
        _entry(base_url, (query.kind, row["id"], subset(row["content"], query.summary, query.elements)), "match")
        for row in page
    ]
    entries += [
        _entry(base_url, (kind, identity, subset(text, query.summary, frozenset())), "include")
        for kind, identity, text in _included(connection, sight, query, page)
    ]
    total = _total(connection, scope, query, len(page), has_more)
    following = next_url(query, base_url, place_of(query, page[-1])) if has_more else None
    return _bundle(query, base_url, total, entries, following)


def _total(connection: Connection, scope: Scope, query: SearchQuery, found: int, has_more: bool) -> int | None:
    """Counted only when asked for, else told when the first page is the whole (https://hl7.org/fhir/R4/search.html#total)."""
    if query.total is Total.NONE:
        return None
    if query.after is None and not has_more:
        return found
    return connection.execute(count_statement(scope, query)).scalar_one() if query.total else None


def _included(connection: Connection, sight: Sight, query: SearchQuery, rows: Sequence[Row]) -> list[Text]:
    """https://hl7.org/fhir/R4/search.html#revinclude: each resource once, and only what is in sight.

    A queue, which ``Task:owner`` leads to, is a place of this service and no record.
    """
    found: list[Text] = []
    if "Task:focus" in query.include:
        request = tables.service_request
        found += _texts(connection, sight, "ServiceRequest", request.c.id, [row["referral_id"] for row in rows])
    if query.include & _PATIENT_INCLUDES:
        patients = [row["patient_id"] for row in rows]
        found += _texts(connection, sight, "Patient", tables.resource.c.id, patients)
    if "Task:focus" in query.revinclude:
        found += _texts(connection, sight, "Task", tables.task.c.referral_id, [row["id"] for row in rows])
    return found


def _texts(
    connection: Connection, sight: Sight, kind: str, column: Column[Any], wanted: Iterable[str | None]
) -> list[Text]:
    """Resources of a type by their ids or by what they point at, in the order in which these were first met."""
    ids = list(dict.fromkeys(one for one in wanted if one is not None))
    table: Table = TABLES[kind]
    query = select(column.label("by"), table.c.id, table.c.content).where(
        in_sight(table, sight, by_index=False), column.in_(ids)
    )
    if table is tables.resource:
        query = query.where(table.c.type == kind)
    found = {row.by: (kind, row.id, row.content) for row in connection.execute(query)} if ids else {}
    return [found[one] for one in ids if one in found]


def _entry(base_url: str, resource: Text, mode: str) -> dict[str, Any]:
    kind, identity, text = resource
    return {
        "fullUrl": f"{base_url}/{kind}/{identity}",
        "resource": orjson.Fragment(text),
        "search": {"mode": mode},
    }


def _bundle(
    query: SearchQuery, base_url: str, total: int | None, entries: list[dict[str, Any]], next_link: str | None = None
) -> bytes:
    """https://hl7.org/fhir/R4/bundle.html#searchset; the texts are pasted as they are stored."""
    links = [{"relation": "self", "url": self_url(query, base_url)}]
    if next_link is not None:
        links.append({"relation": "next", "url": next_link})
    written: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset"}
    if total is not None:
        written["total"] = total
    written["link"] = links
    if query.warnings:
        entries = [*entries, {"resource": writer.outcome(query.warnings), "search": {"mode": "outcome"}}]
    if entries:
        written["entry"] = entries
    return orjson.dumps(written)
