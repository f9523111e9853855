"""The links of a page, and the cursor by which the next one begins where this one ended."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from urllib.parse import quote, urlencode

import orjson

from referral_service.fhir.search.query import Cursor, SearchQuery, SortKey, sort_text

_LONGEST = 2000


def self_url(query: SearchQuery, base_url: str) -> str:
    """The search as it was understood (https://hl7.org/fhir/R4/search.html#conformance)."""
    return _url(query.kind, query.parameters, base_url)


def next_url(query: SearchQuery, base_url: str, last: Cursor) -> str:
    """The same search from behind ``last`` on: a place in the order, not a row number, which new rows shift."""
    kept = [(name, value) for name, value in query.parameters if name != "_cursor"]
    return _url(query.kind, [*kept, ("_cursor", write_cursor(query.sort, last))], base_url)


def _url(kind: str, parameters: Iterable[tuple[str, str]], base_url: str) -> str:
    text = urlencode(list(parameters), safe=",:|/", quote_via=quote)
    return f"{base_url}/{kind}?{text}" if text else f"{base_url}/{kind}"


def write_cursor(sort: tuple[SortKey, ...], cursor: Cursor) -> str:
    content = orjson.dumps([sort_text(sort), list(cursor.values), cursor.id])
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def read_cursor(text: str, sort: tuple[SortKey, ...]) -> Cursor | None:
    """None for anything that :func:`write_cursor` did not write for the same order."""
    if len(text) > _LONGEST:
        return None
    try:
        content = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        return None
    if not isinstance(content, list) or len(content) != 3 or content[0] != sort_text(sort):
        return None
    _, values, identity = content
    if not isinstance(values, list) or len(values) != len(sort) or not isinstance(identity, str):
        return None
    if not all(_is_storable(value) for value in [*values, identity]):
        return None
    return Cursor(tuple(values), identity)


def _is_storable(value: object) -> bool:
    return value is None or (isinstance(value, str) and "\0" not in value)
