"""GET /{type}?… and POST /{type}/_search: one page of a searchset Bundle.

https://hl7.org/fhir/R4/http.html#search
"""

from __future__ import annotations

from functools import partial

from flask import Blueprint, Response

from referral_service.access.scopes import Need
from referral_service.fhir.search import PARAMETERS, SearchQuery
from referral_service.store.engine import Connection
from referral_service.store.lookups import known
from referral_service.store.search import search
from referral_service.web.asking import asked, form_parameters, url_parameters
from referral_service.web.auditing import listed
from referral_service.web.guard import check_scope
from referral_service.web.http import fhir_base, fhir_response, sight, site

blueprint = Blueprint("searching", __name__, url_prefix="/fhir")
_KIND = "<any({}):kind>".format(", ".join(sorted(PARAMETERS.keys() - {"AuditEvent"})))


@blueprint.get(f"/{_KIND}")
def by_url(kind: str) -> Response:
    return _search(kind, url_parameters())


@blueprint.post(f"/{_KIND}/_search")
def by_form(kind: str) -> Response:
    """Names and identifiers need not stand in an address, neither in this one nor in those of the answer."""
    return _search(kind, form_parameters())


def _search(kind: str, parameters: list[tuple[str, str]]) -> Response:
    query, whole = asked(kind, parameters)
    _check_included(query)
    found: set[str] = set()
    with site().store.reading() as connection:
        resolve = partial(_ours, connection)
        bundle = search(connection, sight(), query, base_url=fhir_base(), resolve=resolve, patients=found)
    listed(sorted(found), whole, kind)
    return fhir_response(bundle)


def _check_included(query: SearchQuery) -> None:
    """What comes along is read, and needs the scope for that."""
    kinds = {one: PARAMETERS[query.kind][one.partition(":")[2]].targets[0] for one in query.include}
    kinds |= {one: one.partition(":")[0] for one in query.revinclude}
    for kind in sorted({kind for one, kind in kinds.items() if one != "Task:owner"}):
        check_scope(Need(kind, "r"))


def _ours(connection: Connection, reference: str) -> str | None:
    """Our reference for what the caller knows under a name of its own."""
    sender = sight().client
    return known(connection, sender, addresses=[reference]).addresses.get(reference) if sender else None
