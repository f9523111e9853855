"""Notifications of Subscriptions with topics in R4: a history Bundle, whose first entry tells how the one told stands.

https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/notifications.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from referral_service.fhir.bundle import Resource
from referral_service.fhir.writer.outcome import typed

_BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"


@dataclass(frozen=True, slots=True)
class About:
    """Whose notification it is. ``base`` is the address of our FHIR server, ``events`` how many there have been."""

    base: str
    id: str
    topic: str
    status: str
    events: int
    payload: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One change. ``focus`` is ``Type/id``, None for what may not be told; ``content`` the resource, if it is told."""

    number: int
    at: str
    focus: str | None
    version: int
    content: Resource | None = None


def status(about: About, kind: str, events: Sequence[Event] = (), identity: str | None = None) -> Resource:
    """How a Subscription stands, as Parameters. ``kind`` is a code of subscription-notification-type."""
    parameters: list[Resource] = [
        {"name": "subscription", "valueReference": {"reference": f"{about.base}/Subscription/{about.id}"}},
        *([] if about.payload == "empty" else [{"name": "topic", "valueCanonical": about.topic}]),
        {"name": "status", "valueCode": about.status},
        {"name": "type", "valueCode": kind},
        {"name": "events-since-subscription-start", "valueString": str(about.events)},
        *(_event(about, one) for one in events),
    ]
    if about.error is not None:
        parameters.append({"name": "error", "valueCodeableConcept": {"text": about.error}})
    return typed(
        {
            "resourceType": "Parameters",
            **({"id": identity} if identity else {}),
            "meta": {"profile": [f"{_BACKPORT}/backport-subscription-status-r4"]},
            "parameter": parameters,
        }
    )


def _event(about: About, event: Event) -> Resource:
    parts: list[Resource] = [
        {"name": "event-number", "valueString": str(event.number)},
        {"name": "timestamp", "valueInstant": event.at},
    ]
    if event.focus is not None and about.payload != "empty":
        parts.append({"name": "focus", "valueReference": {"reference": f"{about.base}/{event.focus}"}})
    return {"name": "notification-event", "part": parts}


def notification(about: About, kind: str, at: str, ids: tuple[str, str], events: Sequence[Event] = ()) -> Resource:
    """What is sent, at a FHIR instant; ``ids`` are new ones for the Bundle and for its first entry."""
    own, first = ids
    entries: list[Any] = [
        {
            "fullUrl": f"urn:uuid:{first}",
            "resource": status(about, kind, events, first),
            "request": {"method": "GET", "url": f"{about.base}/Subscription/{about.id}/$status"},
            "response": {"status": "200"},
        }
    ]
    entries += _newest(about, events)
    return {
        "resourceType": "Bundle",
        "id": own,
        "meta": {"profile": [f"{_BACKPORT}/backport-subscription-notification-r4"]},
        "type": "history",
        "timestamp": at,
        "entry": entries,
    }


def _newest(about: About, events: Sequence[Event]) -> list[Resource]:
    """One entry a version; several events may speak of the same resource, each of a version of its own."""
    if about.payload == "empty":
        return []
    if about.payload == "id-only":
        last = {one.focus: one for one in events if one.focus is not None}
        return [_entry(about, one) for one in last.values()]
    return [_entry(about, one) for one in events if one.focus is not None]


def _entry(about: About, event: Event) -> Resource:
    assert event.focus is not None
    is_first, kind = event.version == 1, event.focus.partition("/")[0]
    resource = {"resource": event.content} if about.payload == "full-resource" and event.content is not None else {}
    return {
        "fullUrl": f"{about.base}/{event.focus}",
        **resource,
        "request": {"method": "POST", "url": kind} if is_first else {"method": "PUT", "url": event.focus},
        "response": {
            "status": "201" if is_first else "200",
            "etag": f'W/"{event.version}"',
            "lastModified": event.at,
        },
    }


def searchset(entries: Sequence[tuple[str, Resource]]) -> Resource:
    """What a search or an operation has found, each with its full address."""
    listed = [{"fullUrl": address, "resource": one, "search": {"mode": "match"}} for address, one in entries]
    found: Resource = {"resourceType": "Bundle", "type": "searchset", "total": len(listed)}
    return found | ({"entry": listed} if listed else {})
