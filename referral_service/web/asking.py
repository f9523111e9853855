"""The parameters of a search, from an address or a form, and what of them may stand in the links of its answer.

What came in a form shall not stand in an address, where other people's logs keep it: in ``self`` and ``next`` of such a
search one sealed parameter, ``_sealed``, stands for all that may be a name or a number.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import orjson
from flask import request

from referral_service.access.sealed import seal, unseal
from referral_service.fhir.harmless import is_harmless
from referral_service.fhir.search import SearchQuery, parse_search
from referral_service.issues import Fault, FaultKind, Issue, error
from referral_service.web.http import actor, gate, prefers

Parameters = list[tuple[str, str]]
SEALED = "_sealed"
_LONGEST = 40_000
"""Characters of names and values that are sealed; whoever opens them takes no more."""


def url_parameters() -> Parameters:
    return _decoded(request.query_string)


def form_parameters() -> Parameters:
    """The form counts together with what the address says."""
    if request.mimetype not in ("application/x-www-form-urlencoded", ""):
        words = "Send a search as application/x-www-form-urlencoded."
        raise Fault(FaultKind.MEDIA_TYPE, error("not-supported", "media-type", words))
    return [*url_parameters(), *_decoded(request.get_data(cache=False))]


def asked(kind: str, parameters: Parameters) -> tuple[SearchQuery, Parameters]:
    """The search, and its parameters with the sealed ones opened. Raises 400 with every fault in them."""
    texts = [value for name, value in parameters if name == SEALED]
    opened = [pair for text in texts for pair in _opened(kind, text)]
    whole = [*opened, *(pair for pair in parameters if pair[0] != SEALED)]
    query = _parsed(kind, tuple(whole), prefers("handling") == "lenient")
    if isinstance(query, tuple):
        raise Fault(FaultKind.INVALID, *query)
    return (_with_sealed(query) if texts or request.method == "POST" else query), whole


@lru_cache(500)
def _parsed(kind: str, parameters: tuple[tuple[str, str], ...], lenient: bool) -> SearchQuery | tuple[Issue, ...]:
    """Whoever works on a queue asks the same again and again."""
    return parse_search(kind, parameters, lenient=lenient)


def _with_sealed(query: SearchQuery) -> SearchQuery:
    """The same search, in whose links nothing stands that may be a name or a number."""
    private = [pair for pair in query.parameters if pair[0] != "_cursor" and not is_harmless(*pair)]
    if not private:
        return query
    if sum(len(name) + len(value) for name, value in private) > _LONGEST:
        raise Fault(
            FaultKind.INVALID, error("too-costly", "search-value", "This is too long; ask in several searches.")
        )
    content = orjson.dumps([query.kind, actor().id, private])
    shown = (pair for pair in query.parameters if pair not in private)
    return replace(query, parameters=((SEALED, seal(gate().secret_key, content)), *shown))


def _opened(kind: str, text: str) -> Parameters:
    content = unseal(gate().secret_key, text)
    made: Any = orjson.loads(content) if content is not None else None
    if made is None or made[:2] != [kind, actor().id]:
        words = f"The parameter {SEALED} is not one of a link of this search that you were given."
        raise Fault(FaultKind.INVALID, error("value", "search-value", words))
    return [(name, value) for name, value in made[2]]


def _decoded(text: bytes) -> Parameters:
    """Names and values; a filter that cannot be read is a fault, or the search would find what it should not."""
    try:
        return parse_qsl(text.decode("utf-8"), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError as problem:
        raise Fault(FaultKind.INVALID, error("value", "search-value", "The search is not UTF-8.")) from problem
