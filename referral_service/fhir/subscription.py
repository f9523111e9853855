"""Subscriptions of R4 with topics, as the Subscriptions R5 Backport has them, read and shown.

https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from referral_service.fhir.bundle import Resource
from referral_service.fhir.writer.outcome import CANONICAL, own_system
from referral_service.issues import Issue, error
from referral_service.referral import Queue

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport"
PROFILE = f"{BACKPORT}/StructureDefinition/backport-subscription"
TOPICS: Mapping[str, str] = {
    f"{CANONICAL}/SubscriptionTopic/referral-task": "Task",
    f"{CANONICAL}/SubscriptionTopic/referral-request": "ServiceRequest",
}
"""The canonical of each topic -> the type that it tells of."""

FILTERS = ("owner", "requester", "status", "code")
STATUSES: Mapping[str, frozenset[str]] = {
    "Task": frozenset(
        {
            *("draft", "requested", "received", "accepted", "rejected", "ready", "cancelled", "in-progress", "on-hold"),
            *("failed", "completed", "entered-in-error"),
        }
    ),
    "ServiceRequest": frozenset(
        {"draft", "active", "on-hold", "revoked", "completed", "entered-in-error", "unknown"},
    ),
}
"""https://hl7.org/fhir/R4/valueset-task-status.html and https://hl7.org/fhir/R4/valueset-request-status.html"""

PAYLOADS = ("empty", "id-only", "full-resource")
JSON_PAYLOADS = frozenset({"application/fhir+json", "application/json"})
MOST_SECONDS = 20
"""What a receiver may take at most to answer; the timeout of a Subscription only shortens it."""

LEAST_HEARTBEAT = 10
MOST_HEADERS = 10
MASK = "***"
_HEADER = re.compile(r"([A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}):[ \t]*([\x21-\x7e](?:[\x20-\x7e]{0,2046}[\x21-\x7e])?)")
_OURS = frozenset(
    {
        *("host", "content-type", "content-length", "content-encoding", "transfer-encoding", "connection", "te"),
        *("upgrade", "expect", "trailer"),
    }
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a client asks for. ``filters`` all have to hold, each by one of its values; times are seconds.

    ``headers`` are lines as they were sent, ``end`` a FHIR instant as it was sent.
    """

    type: str
    filters: tuple[tuple[str, tuple[str, ...]], ...]
    endpoint: str
    headers: tuple[str, ...]
    payload: str
    timeout: int
    heartbeat: int | None
    end: str | None
    is_off: bool


def read_subscription(resource: Resource) -> Wanted | tuple[Issue, ...]:
    """A Subscription that is valid R4: what it asks for, or everything in it that is not done here."""
    channel = resource["channel"]
    kind = TOPICS.get(resource["criteria"], "")
    filters, faults = _filters(resource, kind)
    if not kind:
        known = " and ".join(TOPICS)
        words = f"The criteria is the canonical of a topic: {known} are those that there are."
        faults.insert(0, error("not-supported", "subscription-topic", words, "Subscription.criteria"))
    faults += [*_channel_faults(resource, channel)]
    if faults:
        return tuple(faults)
    extensions = _extensions(channel)
    heartbeat = extensions.get("backport-heartbeat-period", {}).get("valueUnsignedInt", 0)
    timeout = extensions.get("backport-timeout", {}).get("valueUnsignedInt", 0)
    return Wanted(
        type=kind,
        filters=tuple(filters),
        endpoint=channel["endpoint"],
        headers=tuple(channel.get("header", ())),
        payload=_payload(channel),
        timeout=min(timeout or MOST_SECONDS, MOST_SECONDS),
        heartbeat=heartbeat or None,
        end=resource.get("end"),
        is_off=resource["status"] == "off",
    )


def _extensions(element: Resource | None) -> dict[str, Resource]:
    prefix = f"{BACKPORT}/StructureDefinition/"
    listed = (element or {}).get("extension", [])
    return {one["url"].removeprefix(prefix): one for one in listed if one["url"].startswith(prefix)}


def _payload(channel: Resource) -> str:
    return str(_extensions(channel.get("_payload")).get("backport-payload-content", {}).get("valueCode", ""))


def _filters(resource: Resource, kind: str) -> tuple[list[tuple[str, tuple[str, ...]]], list[Issue]]:
    place = "Subscription.criteria.extension"
    found: list[tuple[str, tuple[str, ...]]] = []
    faults: list[Issue] = []
    for extension in resource.get("_criteria", {}).get("extension", []):
        if extension["url"] != f"{BACKPORT}/StructureDefinition/backport-filter-criteria":
            continue
        type_, mark, query = str(extension.get("valueString", "")).rpartition("?")
        pairs = parse_qsl(query, keep_blank_values=True)
        if not pairs or (mark and type_ != kind):
            words = f"A filter is written as {kind or 'Task'}?status=accepted,rejected."
            faults.append(error("value", "subscription-filter", words, place))
        for name, text in pairs:
            values = tuple(one for one in text.split(",") if one)
            if name not in FILTERS or not values:
                words = f"A filter is by {', '.join(FILTERS)}, without a modifier, with values between commas."
                faults.append(error("not-supported", "subscription-filter", words, place))
            elif type_ in ("", kind) and kind and not all(_can_hold(name, value, kind) for value in values):
                words = "A filter by status names one that the type has, and one by owner a queue of this service."
                faults.append(error("value", "subscription-filter", words, place))
            found.append((name, values))
    return found, faults


def _can_hold(name: str, value: str, kind: str) -> bool:
    """Whether anything of a type could ever be so."""
    if name == "status":
        return value.rpartition("|")[2] in STATUSES[kind]
    return name != "owner" or value.rpartition("HealthcareService/")[2] in set(Queue)


def _channel_faults(resource: Resource, channel: Resource) -> Iterator[Issue]:
    def fault(words: str, place: str, rule: str = "subscription-channel", code: str = "not-supported") -> Issue:
        return error(code, rule, words, f"Subscription.{place}")

    if resource["status"] not in ("requested", "active", "off"):
        yield fault("Ask with the status requested, or end with off.", "status", "subscription-status", "value")
    if channel["type"] != "rest-hook" or "_type" in channel:
        yield fault("The one channel is rest-hook.", "channel.type")
    if "endpoint" not in channel:
        yield fault("A rest-hook needs an endpoint.", "channel.endpoint", "subscription-endpoint", "required")
    if channel.get("payload", "").partition(";")[0].strip() not in JSON_PAYLOADS:
        yield fault("The payload is application/fhir+json.", "channel.payload")
    if _payload(channel) not in PAYLOADS:
        words = f"The extension backport-payload-content of the payload is one of {', '.join(PAYLOADS)}."
        yield fault(words, "channel.payload.extension", code="value")
    heartbeat = _extensions(channel).get("backport-heartbeat-period", {}).get("valueUnsignedInt", 0)
    if 0 < heartbeat < LEAST_HEARTBEAT:
        words = f"A heartbeat comes every {LEAST_HEARTBEAT} seconds at most."
        yield fault(words, "channel.extension", code="value")
    headers = channel.get("header", [])
    names = {header_of(line)[0].lower() for line in headers}
    if len(headers) > MOST_HEADERS or len(names) < len(headers) or not all(map(_is_header, headers)):
        words = (
            f"A header is Name: value on one line, each name once, {MOST_HEADERS} at most, none that HTTP itself needs."
        )
        yield fault(words, "channel.header", code="value")


def _is_header(line: str) -> bool:
    match = _HEADER.fullmatch(line)
    return match is not None and match[1].lower() not in _OURS


def header_of(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name, value.strip()


def masked(headers: tuple[str, ...]) -> list[str]:
    """Headers as they are shown: what stands in them may open the receiver's door."""
    return [f"{header_of(line)[0]}: {MASK}" for line in headers]


def unmasked(headers: tuple[str, ...], before: tuple[str, ...]) -> tuple[str, ...]:
    """Headers as they were sent, those that come back masked as they were before."""
    known = {header_of(line)[0].lower(): line for line in before}
    return tuple(
        known.get(name.lower(), line) if value == MASK else line
        for line in headers
        for name, value in [header_of(line)]
    )


def fits(resource: Resource, filters: tuple[tuple[str, tuple[str, ...]], ...]) -> bool:
    """Whether every filter holds for a Task or ServiceRequest as it is served."""
    return all(any(_holds(name, value, resource) for value in values) for name, values in filters)


def _holds(name: str, value: str, resource: Resource) -> bool:
    if name == "status":
        return value.rpartition("|")[2] == str(resource["status"])
    if name == "code":
        return any(_is_token(value, coding) for coding in _codings(resource))
    known = _references(name, resource)
    return value in known or ("/" not in value and value in {one.rpartition("/")[2] for one in known})


def _is_token(value: str, coding: Resource) -> bool:
    system, mark, code = value.rpartition("|")
    return coding.get("code") == code and (not mark or coding.get("system", "") == system)


def _codings(resource: Resource) -> list[Resource]:
    """Those of the reason, and of the tags where the decision stands."""
    concepts = [*resource.get("reasonCode", [])] if resource["resourceType"] == "ServiceRequest" else []
    concepts += [resource["reasonCode"]] if resource["resourceType"] == "Task" and "reasonCode" in resource else []
    concepts += [resource["code"]] if "code" in resource else []
    return [*(one for concept in concepts for one in concept.get("coding", [])), *resource["meta"].get("tag", [])]


def _references(name: str, resource: Resource) -> set[str]:
    """A referral is owned by the queue that it is tagged with."""
    found = resource.get(name, {}).get("reference")
    if name == "owner" and resource["resourceType"] == "ServiceRequest":
        tags = (one for one in resource["meta"].get("tag", []) if one.get("system") == own_system("queue"))
        return {f"HealthcareService/{one['code']}" for one in tags}
    return {found} if found else set()


def shown(content: Resource, row: Mapping[str, Any]) -> Resource:
    """A Subscription as its client reads it, from what is kept of it and how it stands."""
    words = {} if row["fault"] is None else {"error": f"The last attempt to reach the endpoint failed: {row['fault']}."}
    return {
        "resourceType": "Subscription",
        "id": row["id"],
        "meta": {**content.get("meta", {}), "versionId": str(row["version"]), "lastUpdated": row["last_updated"]},
        "status": row["status"],
        **{name: value for name, value in content.items() if name != "meta"},
        **words,
    }


def kept(resource: Resource, headers: tuple[str, ...]) -> Resource:
    """What is kept of a Subscription: all that was sent but its id, version, status and the values of headers."""
    meta = {name: one for name, one in resource.get("meta", {}).items() if name not in ("versionId", "lastUpdated")}
    left_out = ("resourceType", "id", "meta", "status", "error", "channel")
    channel = dict(resource["channel"]) | ({"header": masked(headers)} if headers else {})
    own = {name: one for name, one in resource.items() if name not in left_out}
    return {**({"meta": meta} if meta else {}), **own, "channel": channel}
