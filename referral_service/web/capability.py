"""GET /fhir/metadata: the CapabilityStatement, made from the routes that there are.

https://hl7.org/fhir/R4/capabilitystatement.html
"""

from __future__ import annotations

from functools import cache
from typing import Any

from flask import Blueprint, Response, current_app

from referral_service.fhir.messages import notifications, requests
from referral_service.fhir.package import KINDS
from referral_service.fhir.search import INCLUDES, PARAMETERS, REVINCLUDES, Parameter
from referral_service.fhir.subscription import BACKPORT, PROFILE, TOPICS
from referral_service.fhir.writer import CANONICAL, PROCESS_MESSAGE, typed
from referral_service.web.http import FHIR_JSON, JSON_PATCH, fhir_base, fhir_response, gate, site
from referral_service.web.token import token_address

blueprint = Blueprint("capability", __name__, url_prefix="/fhir")

_INTERACTIONS = {
    "create": ("POST", "/fhir/{kind}"),
    "read": ("GET", "/fhir/{kind}/x"),
    "vread": ("GET", "/fhir/{kind}/x/_history/1"),
    "history-instance": ("GET", "/fhir/{kind}/x/_history"),
    "update": ("PUT", "/fhir/{kind}/x"),
    "patch": ("PATCH", "/fhir/{kind}/x"),
    "delete": ("DELETE", "/fhir/{kind}/x"),
}
_OPERATIONS = {
    "ServiceRequest": ("preview", "decision", "original", "receipt"),
    "Task": ("actions", "undo"),
}


@blueprint.get("/metadata")
def metadata() -> Response:
    return fhir_response(
        _statement(fhir_base(), site().package_version, token_address() if gate().asks else None, site().sandbox)
    )


@cache
def _statement(base: str, package: str, token: str | None, is_sandbox: bool) -> dict[str, Any]:
    description = "Checks, codes and routes referrals for dystonia."
    if is_sandbox:
        description += " A sandbox: nothing here is of a real patient."
    return typed(
        {
            "resourceType": "CapabilityStatement",
            "status": "active",
            "date": "2026-11-23",
            "kind": "instance",
            "software": {"name": "Referral service for dystonia", "version": package},
            "implementation": {"description": description, "url": base},
            "fhirVersion": "4.0.1",
            "format": ["json", FHIR_JSON],
            "patchFormat": [JSON_PATCH],
            "rest": [
                {
                    "mode": "server",
                    **({"security": _security(token)} if token else {}),
                    "resource": _resources(),
                    "interaction": [{"code": "transaction"}, {"code": "batch"}],
                    "operation": [{"name": "process-message", "definition": PROCESS_MESSAGE}],
                }
            ],
            "messaging": [_messaging(base)],
        }
    )


def _messaging(base: str) -> dict[str, Any]:
    transport = {"system": "http://terminology.hl7.org/CodeSystem/message-transport", "code": "http"}
    modes = {"receiver": requests(), "sender": notifications()}
    return {
        "endpoint": [{"protocol": transport, "address": f"{base}/$process-message"}],
        "supportedMessage": [
            {"mode": mode, "definition": one["url"]} for mode, listed in modes.items() for one in listed
        ],
    }


def _security(token: str) -> dict[str, Any]:
    """https://hl7.org/fhir/smart-app-launch/conformance.html#declaring-support-for-oauth2-endpoints"""
    service = "http://terminology.hl7.org/CodeSystem/restful-security-service"
    oauth = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
    return {
        "extension": [{"url": oauth, "extension": [{"url": "token", "valueUri": token}]}],
        "service": [{"coding": [{"system": service, "code": "SMART-on-FHIR"}], "text": "SMART Backend Services"}],
    }


def _resources() -> list[dict[str, Any]]:
    from referral_service.web.reading import READABLE

    kinds = (*READABLE, "HealthcareService", "AuditEvent", *KINDS)
    return [*(_resource(kind) for kind in kinds), _with_topics(_resource("Subscription"))]


def _with_topics(resource: dict[str, Any]) -> dict[str, Any]:
    """R4 has no resource for topics; the Subscriptions R5 Backport names them here."""
    url = f"{BACKPORT}/StructureDefinition/capabilitystatement-subscriptiontopic-canonical"
    extensions = [{"url": url, "valueCanonical": topic} for topic in TOPICS]
    return {"extension": extensions, "type": resource.pop("type"), "supportedProfile": [PROFILE], **resource}


def _resource(kind: str) -> dict[str, Any]:
    search = [{"name": name, "type": one.type.value} for name, one in _parameters(kind)]
    if kind == "Subscription":
        search = [{"name": "_id", "type": "token"}, {"name": "status", "type": "token"}, {"name": "url", "type": "uri"}]
    if kind in KINDS:
        search = [{"name": "url", "type": "uri"}]
    if kind == "MessageDefinition":
        search.append({"name": "context", "type": "token"})
    interactions = [
        code for code, (method, path) in _INTERACTIONS.items() if _is_routed(method, path.format(kind=kind))
    ]
    if search:
        interactions.append("search-type")
    resource: dict[str, Any] = {"type": kind, "interaction": [{"code": code} for code in interactions]}
    resource |= {
        "versioning": "no-version" if kind == "AuditEvent" else "versioned",
        "conditionalCreate": "create" in interactions and kind != "Subscription",
    }
    if search:
        resource["searchParam"] = search
    for name, paths in (("searchInclude", INCLUDES), ("searchRevInclude", REVINCLUDES)):
        if paths.get(kind):
            resource[name] = sorted(paths[kind])
    operations = _operations(kind)
    if operations:
        resource["operation"] = operations
    return resource


def _operations(kind: str) -> list[dict[str, str]]:
    """``$validate`` is for every type; the others are for the one that they belong to."""
    found = {"validate": f"{CANONICAL}/OperationDefinition/validate"}
    found |= {name: f"{CANONICAL}/OperationDefinition/{name}" for name in _OPERATIONS.get(kind, ())}
    if kind == "Subscription":
        found |= {name: f"{BACKPORT}/OperationDefinition/backport-subscription-{name}" for name in ("status", "events")}
    if kind == "ConceptMap":
        found["translate"] = "http://hl7.org/fhir/OperationDefinition/ConceptMap-translate"
    return [{"name": name, "definition": definition} for name, definition in found.items()]


def _parameters(kind: str) -> list[tuple[str, Parameter]]:
    """Chains follow from the parameters that they begin with and are not listed."""
    return [(name, one) for name, one in sorted(PARAMETERS.get(kind, {}).items()) if "." not in name]


def _is_routed(method: str, path: str) -> bool:
    adapter = current_app.url_map.bind("localhost")
    if not adapter.test(path, method):
        return False
    endpoint, _ = adapter.match(path, method)
    return not endpoint.endswith("not_created")
