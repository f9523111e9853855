"""The rows of a page, and the statements of searches that are asked again and again.

Whoever works on a queue asks for the same every few seconds. Composing the statement takes longer than the database
needs to answer it, so that of a search that comes a second time is kept, with its values, in the memory of the process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from referral_service.fhir.search import SearchQuery
from referral_service.store.direct import Standing
from referral_service.store.search.matching import Scope
from referral_service.store.search.paging import completed, page_statement
from referral_service.store.writes import overtaking

Row = Mapping[str, Any]
_MOST = 500
_kept: dict[object, Standing | None] = {}
"""None for a search that has come once."""


def rows_of_page(connection: Connection, scope: Scope, query: SearchQuery) -> Sequence[Row]:
    """What :func:`referral_service.store.search.paging.page_statement` finds, with one row more than the page holds."""
    key = (connection.dialect.name, scope.sight, scope.base_url, query)
    standing = _kept.get(key)
    if standing is not None:
        with overtaking(connection):
            return standing.rows(connection)
    looked_up: list[str] = []

    def resolve(reference: str) -> str | None:
        looked_up.append(reference)
        return scope.resolve(reference)

    after = completed(connection, scope, query)
    statement = page_statement(replace(scope, resolve=resolve), query, after, query.count + 1)
    if not looked_up and after == query.after:  # or what was looked up for it could be another answer tomorrow
        _keep(key, Standing.of(statement, connection) if key in _kept else None)
    return [dict(row) for row in connection.execute(statement).mappings()]


def _keep(key: object, standing: Standing | None) -> None:
    if len(_kept) >= _MOST:
        _kept.clear()
    _kept[key] = standing
