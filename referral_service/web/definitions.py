"""The rules from outside: what an integration engineer can read of profiles, codes, maps and operations."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from referral_service.fhir import package
from referral_service.fhir.messages import requests
from referral_service.fhir.parse import dump
from referral_service.issues import Fault, FaultKind, error
from referral_service.web.http import fhir_base, fhir_response

blueprint = Blueprint("definitions", __name__, url_prefix="/fhir")
_KIND = "<any({}):kind>".format(", ".join(package.KINDS))
_NEGATIVE = frozenset({"unmatched", "disjoint"})
_TRANSLATE = ("url", "system", "code", "target", "targetsystem", "_format", "_pretty")


@blueprint.get(f"/{_KIND}/<identity>")
def read(kind: str, identity: str) -> Response:
    found = package.definitions()[kind].get(identity)
    if found is None:
        raise Fault(FaultKind.NOT_FOUND, error("not-found", "not-found", f"There is no such {kind}."))
    return fhir_response(dump(found))


@blueprint.get(f"/{_KIND}")
def search(kind: str) -> Response:
    """All of a type, or those with a canonical: ``?url=``. With ``?context=``, MessageDefinitions of what is taken:
    the same in every context that a sender may know this service by."""
    _check_parameters({"url", "_format", "_pretty", *(("context",) if kind == "MessageDefinition" else ())})
    wanted = request.args.get("url")
    found = package.by_url(kind, wanted) if wanted else list(package.definitions()[kind].values())
    if "context" in request.args:
        found = [one for one in found if one in requests()]
    entries = [
        {"fullUrl": f"{fhir_base()}/{kind}/{one['id']}", "resource": one, "search": {"mode": "match"}} for one in found
    ]
    bundle: Any = {"resourceType": "Bundle", "type": "searchset", "total": len(found)}
    return fhir_response(dump(bundle | ({"entry": entries} if entries else {})))


@blueprint.get("/ConceptMap/$translate")
def translate() -> Response:
    """``?system=&code=`` through every map of the package, or the one at ``url``, to ``targetsystem`` when given."""
    _check_parameters(set(_TRANSLATE))
    system, code = request.args.get("system"), request.args.get("code")
    if not system or not code:
        words = "Ask with system=… and code=…."
        raise Fault(FaultKind.INVALID, error("required", "translate-parameter", words))
    target = request.args.get("targetsystem", request.args.get("target"))
    matches = package.translate(system, code, target=target, url=request.args.get("url"))
    is_found = any(part["valueCode"] not in _NEGATIVE for match in matches for part in match["part"][:1])
    answer: Any = [{"name": "result", "valueBoolean": is_found}, *matches]
    return fhir_response(dump({"resourceType": "Parameters", "parameter": answer}))


def _check_parameters(known: set[str]) -> None:
    unknown = sorted(set(request.args) - known)
    if unknown:
        faults = [
            error("not-supported", "search-parameter", f"The parameter {name} is not known here.") for name in unknown
        ]
        raise Fault(FaultKind.INVALID, *faults)
