"""GET /openapi.json: what systems can call, described from the routes and their rules.

https://spec.openapis.org/oas/v3.0.3
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import Any

from flask import Blueprint, Response, current_app, jsonify
from werkzeug.routing import Rule as Route

from referral_service.fhir.conformance.table import resource_types
from referral_service.fhir.search import PARAMETERS, ParameterType
from referral_service.store.tables.hooks import OUTCOMES
from referral_service.web.hooks.asked import HOOK, PREFETCH
from referral_service.web.http import FHIR_JSON, JSON_PATCH, site
from referral_service.web.rules import RULES

blueprint = Blueprint("openapi", __name__)
Schema = dict[str, Any]
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_PART = re.compile(r"<(?:(?P<converter>[a-z]+)(?:\((?P<choices>[^)]*)\))?:)?(?P<name>[a-z_]+)>")
_ID: Schema = {"type": "string", "pattern": r"^[A-Za-z0-9\-.]{1,64}$"}
_NUMBER: Schema = {"type": "integer", "minimum": 1, "maximum": 999_999}
_TEXT: Schema = {"type": "string"}
_SEARCH_RESULTS = {
    **dict.fromkeys(("_sort", "_include", "_revinclude", "_elements"), _TEXT),
    "_count": {"type": "integer", "minimum": 0},
    "_summary": {"type": "string", "enum": ["true", "text", "data", "count", "false"]},
    "_total": {"type": "string", "enum": ["none", "estimate", "accurate"]},
}
_DATE: Schema = {"type": "string", "pattern": r"^(eq|ne|gt|lt|ge|le|sa|eb)?[12]\d{3}(-\d\d(-\d\d)?)?$"}
_QUERIES: dict[str, dict[str, Schema]] = {
    "operations.receipt": {"request-id": _TEXT, "identifier": _TEXT},
    "operations.validate": {"profile": _TEXT},
    "definitions.search": {"url": _TEXT, "context": _TEXT},
    "subscribing.search": {"_id": _TEXT, "status": _TEXT, "url": _TEXT},
    "subscribing.events": {"eventsSinceNumber": _TEXT, "eventsUntilNumber": _TEXT, "content": _TEXT},
    "definitions.translate": dict.fromkeys(("system", "code", "url", "targetsystem"), _TEXT),
}
_BODIES = {
    "submitting.bundle": "Bundle",
    "messages.process": "Bundle",
    "submitting.create": "ServiceRequest",
    "submitting.update": "ServiceRequest",
    "operations.preview_decision": "ServiceRequest",
    "moving.put": "Task",
    "moving.undo": "Parameters",
    "subscribing.create": "Subscription",
    "subscribing.update": "Subscription",
}
"""The type that is sent, where the address does not say it."""
_OBJECT: Schema = {"type": "object"}
_CALL: Schema = {
    "type": "object",
    "required": ["hook", "hookInstance", "context", "prefetch"],
    "properties": {
        "hook": {"type": "string", "enum": [HOOK]},
        "hookInstance": _TEXT,
        "context": {
            "type": "object",
            "required": ["userId", "patientId", "draftOrders"],
            "properties": {"userId": _TEXT, "patientId": _TEXT, "draftOrders": _OBJECT},
        },
        "prefetch": {"type": "object", "required": ["patient"], "properties": dict.fromkeys(PREFETCH, _OBJECT)},
    },
}
_FEEDBACK: Schema = {
    "type": "object",
    "required": ["card", "outcome"],
    "properties": {"card": _TEXT, "outcome": {"type": "string", "enum": OUTCOMES}},
}
_HOOKS: dict[str, Schema] = {
    "hooks.call": _CALL,
    "hooks.take_feedback": {
        "type": "object",
        "required": ["feedback"],
        "properties": {"feedback": {"type": "array", "items": _FEEDBACK}},
    },
}
"""What CDS Hooks sends (https://cds-hooks.hl7.org/2.0/)."""


def _check(result: str, **more: Schema) -> Schema:
    properties = {"status": {"type": "string", "enum": ["pass", result]}, **more}
    return {"type": "object", "required": ["status"], "properties": properties}


_WORDS = {"output": _TEXT}
_READY: Schema = {
    "type": "object",
    "required": ["status", "checks"],
    "properties": {
        "status": {"type": "string", "enum": ["ready", "degraded", "unavailable"]},
        "checks": {
            "type": "object",
            "required": ["database", "audit", "requests"],
            "properties": {
                "database": _check("fail", milliseconds={"type": "number"}, **_WORDS),
                "schema": _check("fail", **_WORDS),
                "deliveries": _check("warn", oldest_seconds={"type": "number"}),
                "audit": _check("fail", held={"type": "integer"}),
                "requests": _check("fail", stuck={"type": "integer"}),
            },
        },
    },
}
_ALIVE: Schema = {"type": "object", "properties": {"status": {"type": "string", "enum": ["alive"]}}}


def _told(description: str, schema: Schema, media_type: str = "application/json") -> Schema:
    return {"description": description, "content": {media_type: {"schema": schema}}}


_WATCHING: dict[str, Schema] = {
    "health.live": {"200": _told("The process answers", _ALIVE)},
    "health.ready": {
        "200": _told("This replica can serve; degraded when a check warns", _READY),
        "503": _told("A check fails; schema and deliveries stand there only when the database answers", _READY),
    },
    "watching.tell": {"200": _told("What is counted, for Prometheus", _TEXT, "text/plain")},
}


@blueprint.get("/openapi.json")
def describe() -> Response:
    """This description."""
    paths: dict[str, dict[str, Any]] = {}
    # A route of one type goes before that of any type, as it does when it is called.
    for route in sorted(current_app.url_map.iter_rules(), key=lambda one: "<any(" in one.rule):
        if _is_for_systems(route):
            for path, fixed, parameters in _addresses(route):
                for method in sorted(set(_METHODS) & (route.methods or set())):
                    operation = _operation(route, method, fixed, parameters)
                    paths.setdefault(path, {}).setdefault(method.lower(), operation)
    return jsonify(
        {
            "openapi": "3.0.3",
            "info": {"title": "Referral service for dystonia", "version": site().package_version},
            "servers": [{"url": site().public_url}],
            "paths": dict(sorted(paths.items())),
            "components": {"securitySchemes": {"smart": _smart()}, "schemas": {"OperationOutcome": _resource(None)}},
        }
    )


def _smart() -> Schema:
    flow = {"tokenUrl": f"{site().public_url}/auth/token", "scopes": {}}
    return {"type": "oauth2", "flows": {"clientCredentials": flow}}


def _is_for_systems(route: Route) -> bool:
    rule = RULES[route.endpoint]
    return route.endpoint != "static" and (rule.is_public or rule.scope is not None)


def _addresses(route: Route) -> Iterator[tuple[str, dict[str, str], list[Schema]]]:
    """One path for each type that an address can name, with what it then says and its open parts."""
    parts = list(_PART.finditer(route.rule))
    named = [(part["name"], _choices(part)) for part in parts if _choices(part)]
    for chosen in product(*(choices for _, choices in named)):
        fixed = dict(zip((name for name, _ in named), chosen, strict=True))
        yield (
            _PART.sub(partial(_shown, fixed), route.rule),
            fixed,
            [_open_part(part) for part in parts if part["name"] not in fixed],
        )


def _shown(fixed: dict[str, str], part: re.Match[str]) -> str:
    return fixed.get(part["name"], "{" + part["name"] + "}")


def _choices(part: re.Match[str]) -> list[str]:
    if part["converter"] == "any":
        return [one.strip() for one in part["choices"].split(",")]
    return ["ServiceRequest", "Patient", "Bundle"] if part["name"] == "kind" else []


def _open_part(part: re.Match[str]) -> Schema:
    schema = _NUMBER if part["converter"] == "int" else _ID
    return {"name": part["name"], "in": "path", "required": True, "schema": schema}


def _operation(route: Route, method: str, fixed: dict[str, str], parameters: list[Schema]) -> Schema:
    endpoint, kind = route.endpoint, fixed.get("kind")
    rule = RULES[endpoint]
    words = (current_app.view_functions[endpoint].__doc__ or endpoint).strip().partition("\n")[0]
    described: Schema = {
        "operationId": "-".join((endpoint.replace(".", "-"), method.lower(), *fixed.values(), *_trailing(route))),
        "summary": words,
        "parameters": [*parameters, *(_query(name, one) for name, one in _queries(endpoint, kind).items())],
        "responses": _responses(endpoint),
        "security": [] if rule.is_public else [{"smart": _scopes(rule.scope or "", kind)}],
    }
    if method in ("PUT", "PATCH") and (kind or _BODIES.get(endpoint, "Task")) in ("ServiceRequest", "Task"):
        described["parameters"].append(_if_match())
    if method not in ("GET", "DELETE"):
        described["requestBody"] = {"required": True, "content": _body(endpoint, kind)}
    return described


def _trailing(route: Route) -> list[str]:
    return ["slash"] if route.rule.endswith("/") else []


def _scopes(scope: str, kind: str | None) -> list[str]:
    return [] if scope == "*" else [f"system/{scope.format(kind=kind)}"]


def _queries(endpoint: str, kind: str | None) -> dict[str, Schema]:
    if endpoint == "searching.by_url" and kind is not None:
        return _search_schemas(kind)
    return _QUERIES.get(endpoint, {})


def _search_schemas(kind: str) -> dict[str, Schema]:
    dates = {name for name, one in PARAMETERS[kind].items() if one.type is ParameterType.DATE}
    return {**{name: _DATE if name in dates else _TEXT for name in PARAMETERS[kind]}, **_SEARCH_RESULTS}


def _query(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "required": False, "schema": schema}


def _if_match() -> Schema:
    schema = {"type": "string", "pattern": r'^W/"[0-9]{1,4}"$'}
    return {"name": "If-Match", "in": "header", "required": True, "schema": schema}


def _body(endpoint: str, kind: str | None) -> Schema:
    if endpoint == "searching.by_form" and kind is not None:
        form = {"type": "object", "properties": _search_schemas(kind), "additionalProperties": False}
        return {"application/x-www-form-urlencoded": {"schema": form}}
    if endpoint == "subscribing.search_by_form":
        form = {"type": "object", "properties": _QUERIES["subscribing.search"], "additionalProperties": False}
        return {"application/x-www-form-urlencoded": {"schema": form}}
    if endpoint == "moving.patch":
        operation = {"type": "object", "required": ["op", "path"], "properties": _patch()}
        return {JSON_PATCH: {"schema": {"type": "array", "items": operation}}}
    if endpoint == "binaries.create":
        file = {"schema": {"type": "string", "format": "binary"}}
        allowed = dict.fromkeys(sorted(site().policy.attachment_types), file)
        return {FHIR_JSON: {"schema": _resource("Binary")}, **allowed}
    if endpoint in _HOOKS:
        return {"application/json": {"schema": _HOOKS[endpoint]}}
    return {FHIR_JSON: {"schema": _resource(_BODIES.get(endpoint, kind))}}


def _patch() -> Schema:
    names = ["add", "remove", "replace", "move", "copy", "test"]
    return {"op": {"type": "string", "enum": names}, "path": {"type": "string", "pattern": "^(/[a-zA-Z0-9]+)+$"}}


def _resource(kind: str | None) -> Schema:
    """A resource of a type, or of any; what is in it, R4 says (https://hl7.org/fhir/R4/resourcelist.html)."""
    types = [kind] if kind is not None else sorted(resource_types())
    properties = {"resourceType": {"type": "string", "enum": types}}
    return {"type": "object", "required": ["resourceType"], "properties": properties}


def _responses(endpoint: str) -> Schema:
    if endpoint in _WATCHING:
        return _WATCHING[endpoint]
    outcome = {"schema": {"$ref": "#/components/schemas/OperationOutcome"}}
    return {
        "2XX": {"description": "What was asked for"},
        "default": {"description": "An OperationOutcome that says what is wrong", "content": {FHIR_JSON: outcome}},
    }
