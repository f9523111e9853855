"""Subscriptions: asked for, changed, ended and looked at by the client that is told, and by nobody else.

https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import orjson
from flask import Blueprint, Response, current_app, request

from referral_service.access.callers import Kind
from referral_service.access.scopes import Need
from referral_service.addresses import origin
from referral_service.delivery.events import about_of, event_of
from referral_service.fhir import parse
from referral_service.fhir.parse import dump
from referral_service.fhir.subscription import (
    PAYLOADS,
    Wanted,
    kept,
    read_subscription,
    shown,
    unmasked,
)
from referral_service.fhir.writer.notification import notification, searchset
from referral_service.fhir.writer.notification import status as status_of
from referral_service.intake.conditions import version_of
from referral_service.intake.reading import validated
from referral_service.intake.site import new_id
from referral_service.issues import Fault, FaultKind, Issue, error, errors_of
from referral_service.store import deliveries, lookups, subscriptions, systems
from referral_service.store.engine import Connection, instant
from referral_service.web.asking import form_parameters, url_parameters
from referral_service.web.auditing import audited, listed, written_with
from referral_service.web.guard import check_scope
from referral_service.web.http import (
    RESOURCE_BYTES,
    actor,
    allows,
    body_of,
    caller,
    client,
    fhir_base,
    fhir_response,
    gate,
    now,
    prefers,
    site,
    version_headers,
)

blueprint = Blueprint("subscribing", __name__, url_prefix="/fhir/Subscription")
Row = subscriptions.Row
MOST = 50
"""Subscriptions of one client."""

MOST_EVENTS = 100
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)


@blueprint.post("")
def create() -> Response:
    """It stands as requested until its endpoint has answered a handshake."""
    resource = _sent()
    wanted = _wanted(resource)
    if wanted.is_off:
        raise _refused([error("value", "subscription-status", "A new one is requested.", "Subscription.status")])
    at, identity = now(), new_id()
    row = {"id": identity, "client": client(), "version": 1, "last_updated": instant(at), "attempts": 0}
    row |= {"counts": 1, "heard_at": None, **_columns(resource, wanted, (), at)}
    with site().store.writing() as connection:
        if subscriptions.count(connection, client()) >= MOST:
            words = f"A client has {MOST} Subscriptions at most."
            raise _refused([error("too-costly", "subscription-limit", words)])
        subscriptions.add(connection, row | {"filters": _filters(connection, wanted)})
        audited([f"Subscription/{identity}"])
        written_with(connection, None)
    return _answered(row, 201)


@blueprint.put("/<identity>")
def update(identity: str) -> Response:
    """Changed, ended with ``off``, or asked for anew, which begins with a handshake."""
    resource = _sent()
    if resource.get("id") != identity:
        words = "A resource that is PUT carries the id of the address that it is PUT to."
        raise Fault(FaultKind.INVALID, error("invalid", "id-mismatch", words, "Subscription.id"))
    at = now()
    with site().store.writing() as connection:
        row = _one(connection, identity, to_change=True)
        _check_version(row)
        before = tuple(json.loads(row["headers"]))
        wanted = _wanted(resource)
        values = _columns(resource, wanted, before, at)
        values |= {"filters": _filters(connection, wanted), "counts": 0 if wanted.is_off else 1}
        subscriptions.change(connection, row, at, values)
        changed = _one(connection, identity)
        audited([f"Subscription/{identity}"])
        written_with(connection, None)
    return _answered(changed, 200)


@blueprint.delete("/<identity>")
def end(identity: str) -> Response:
    """Nothing further is told; what it waited for is dropped."""
    with site().store.writing() as connection:
        row = _one(connection, identity, to_change=True)
        subscriptions.remove(connection, row["id"], now())
        audited([f"Subscription/{identity}"])
        written_with(connection, None)
    return Response(b"", 204)


@blueprint.get("/<identity>")
def read(identity: str) -> Response:
    with site().store.reading() as connection:
        row = _one(connection, identity)
    audited([f"Subscription/{identity}"])
    return _answered(row, 200)


@blueprint.get("")
def search() -> Response:
    """One's own, by ``_id``, ``status`` and ``url``, which is the endpoint."""
    return _found(url_parameters())


@blueprint.post("/_search")
def search_by_form() -> Response:
    return _found(form_parameters())


_COLUMNS = {"_id": "id", "status": "status", "url": "endpoint"}


def _found(parameters: list[tuple[str, str]]) -> Response:
    unknown = sorted({name for name, _ in parameters} - {*_COLUMNS, "_format", "_pretty"})
    if unknown and prefers("handling") != "lenient":
        words = "The parameter {} is not known here."
        raise Fault(
            FaultKind.INVALID, *(error("not-supported", "search-parameter", words.format(name)) for name in unknown)
        )
    equal: dict[str, tuple[str, ...]] = {}
    for name, value in parameters:
        if name in _COLUMNS:
            wanted = tuple(one.rpartition("|")[2] if name == "status" else one for one in value.split(","))
            before = equal.get(_COLUMNS[name])
            equal[_COLUMNS[name]] = wanted if before is None else tuple(one for one in wanted if one in before)
    with site().store.reading() as connection:
        rows = subscriptions.of_client(connection, client(), **equal)
    listed((), parameters, "Subscription")
    return fhir_response(dump(searchset([(_address(row), _shown(row)) for row in rows])))


@blueprint.get("/<identity>/$status")
def status(identity: str) -> Response:
    """How one stands: its status, and how many events there have been."""
    with site().store.reading() as connection:
        row = _one(connection, identity)
        found = status_of(about_of(connection, row, fhir_base()), "query-status", (), new_id())
    audited([f"Subscription/{identity}"])
    return fhir_response(dump(searchset([(f"urn:uuid:{found['id']}", found)])))


@blueprint.get("/<identity>/$events")
def events(identity: str) -> Response:
    """Events again by their numbers, as they may be seen now; at most 100 in one answer."""
    first = _number("eventsSinceNumber", 1)
    last = _number("eventsUntilNumber", 999_999_999)
    payload = request.args.get("content")
    if payload is not None and payload not in PAYLOADS:
        words = f"The content is one of {', '.join(PAYLOADS)}."
        raise Fault(FaultKind.INVALID, error("value", "search-value", words))
    with site().store.reading() as connection:
        row = _one(connection, identity)
        check_scope(Need(row["type"], "r"))
        level = payload or row["payload"]
        rows = deliveries.events(connection, row["id"], first, last, MOST_EVENTS)
        found = [event_of(connection, one, level, actor() if allows(one["type"], "r") else None) for one in rows]
        about = about_of(connection, row, fhir_base(), level)
        named = [one.focus for one in found if one.focus is not None and level != "empty"]
        patients = deliveries.patients_of(connection, [one["referral_id"] for one in rows] if named else [])
    audited([f"Subscription/{identity}", *named], sorted(patients))
    return fhir_response(dump(notification(about, "query-event", instant(now()), (new_id(), new_id()), found)))


def _number(name: str, otherwise: int) -> int:
    text = request.args.get(name)
    if text is not None and not _NUMBER.fullmatch(text):
        raise Fault(FaultKind.INVALID, error("value", "search-value", f"{name} is the number of an event."))
    return otherwise if text is None else int(text)


def _sent() -> dict[str, Any]:
    body = body_of(RESOURCE_BYTES)
    faults = errors_of(validated(body, "Subscription", ()))
    if faults:
        raise Fault(FaultKind.INVALID, *faults)
    value: Any = parse.parse(body).value
    if value["resourceType"] != "Subscription":
        words = "Send the Subscription itself."
        raise Fault(FaultKind.INVALID, error("value", "wrong-type", words))
    return dict(value)


def _wanted(resource: dict[str, Any]) -> Wanted:
    """What is asked for; every reason at once why it cannot be."""
    read = read_subscription(resource)
    faults = list(read) if isinstance(read, tuple) else []
    endpoint = resource["channel"].get("endpoint")
    faults += [] if endpoint is None else _endpoint_faults(endpoint)
    if isinstance(read, tuple) or faults:
        raise _refused(faults)
    check_scope(Need(read.type, "r"))
    return read


def _refused(faults: Iterable[Issue]) -> Fault:
    return Fault(FaultKind.BUSINESS_RULE, *faults)


def _endpoint_faults(endpoint: str) -> list[Issue]:
    outbound: frozenset[str] = current_app.extensions["outbound"]
    try:
        found = origin(endpoint)
    except ValueError:
        found = ""
    if found not in _callbacks(outbound) or len(endpoint) > 512 or not endpoint.isprintable():
        words = "The endpoint is at none of the callback origins that this client is registered with."
    elif not found.startswith("https://") and found not in outbound:
        words = "The endpoint begins with https://."
    else:
        return []
    return [error("business-rule", "subscription-endpoint", words, "Subscription.channel.endpoint")]


def _callbacks(outbound: frozenset[str]) -> frozenset[str]:
    """Where nobody is asked who they are, all that may be called at all."""
    if not gate().asks or caller().kind is not Kind.SYSTEM:
        return outbound
    with site().store.reading() as connection:
        registered = systems.client_in_use(connection, client())
    return frozenset(registered["callbacks"].split()) if registered is not None else frozenset()


def _filters(connection: Connection, wanted: Wanted) -> str:
    """References by the names that the client has for what it sent become ours."""
    names = [value for name, values in wanted.filters if name == "requester" for value in values]
    ours = lookups.known(connection, client(), addresses=names).addresses if names else {}
    base = f"{fhir_base()}/"
    resolved = [
        (name, [ours.get(one, one.removeprefix(base)) if name in ("owner", "requester") else one for one in values])
        for name, values in wanted.filters
    ]
    return json.dumps(resolved)


def _columns(resource: dict[str, Any], wanted: Wanted, before: tuple[str, ...], at: datetime) -> dict[str, Any]:
    """The columns that follow from what is asked for; ``before`` are the headers that were kept until now."""
    headers = unmasked(wanted.headers, before)
    return {
        "content": dump(kept(resource, headers)).decode(),
        "headers": json.dumps(headers),
        "status": "off" if wanted.is_off else "requested",
        "type": wanted.type,
        "endpoint": wanted.endpoint,
        "payload": wanted.payload,
        "timeout": wanted.timeout,
        "heartbeat": wanted.heartbeat,
        "ends": _end(wanted.end, at),
        "verified": 0,
        "failures": 0,
        "fault": None,
        "due": None if wanted.is_off else instant(at),
    }


def _end(text: str | None, at: datetime) -> str | None:
    if text is None:
        return None
    try:
        end = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        end = at
    if end <= at:
        words = "The end of a Subscription lies ahead."
        raise _refused([error("value", "subscription-end", words, "Subscription.end")])
    return instant(end)


def _check_version(row: Row) -> None:
    """``If-Match`` is honoured when it is given."""
    header = request.headers.get("If-Match")
    if header is not None and version_of(header) != row["version"]:
        words = f"The resource is at version {row['version']}; read it again before changing it."
        raise Fault(FaultKind.PRECONDITION, error("conflict", "stale-version", words))


def _one(connection: Connection, identity: str, *, to_change: bool = False) -> Row:
    row = subscriptions.one(connection, client(), identity, to_change=to_change)
    if row is None:
        raise Fault(FaultKind.NOT_FOUND, error("not-found", "not-found", "There is no such Subscription."))
    return row


def _address(row: Row) -> str:
    return f"{fhir_base()}/Subscription/{row['id']}"


def _shown(row: Row) -> dict[str, Any]:
    return shown(orjson.loads(row["content"]), row)


def _answered(row: Row, number: int) -> Response:
    response = fhir_response(dump(_shown(row)), number)
    version_headers(response, row["version"], row["last_updated"])
    if number == 201:
        response.headers["Location"] = _address(row)
    return response
