"""Bytes -> a checked request, with every fault in it and where each lies."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from referral_service.fhir import conformance, parse
from referral_service.fhir.bundle import ATTACHMENTS, NESTED, Entry, Envelope, Resource, is_laboratory_or_imaging
from referral_service.fhir.conformance.table import resource_types
from referral_service.fhir.messages import Act
from referral_service.fhir.reader import placer_identifier
from referral_service.issues import FaultKind, Issue, Severity, error, errors_of

_ENTRY = re.compile(r"Bundle\.entry\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Reading:
    """One request as read. ``envelope`` is there whenever something in it can be taken in hand.

    ``envelope_faults`` refuse the whole; ``entry_faults`` lie in one entry of a Bundle and are listed by its position;
    ``remarks`` are warnings and information. Of a message, ``acts`` are what it asks for, by the places of its
    referrals; of one that is not followed, ``fault`` is why and ``referrals`` are those that it is about.
    """

    payload: Any
    envelope: Envelope | None
    envelope_faults: tuple[Issue, ...]
    entry_faults: dict[int, list[Issue]]
    remarks: tuple[Issue, ...]
    acts: Mapping[int, Act] = field(default_factory=dict)
    fault: FaultKind = FaultKind.INVALID
    referrals: tuple[Resource, ...] = ()

    @property
    def faults(self) -> tuple[Issue, ...]:
        return (*self.envelope_faults, *(issue for listed in self.entry_faults.values() for issue in listed))

    def text_of(self, entry: Entry, body: bytes) -> bytes:
        """An entry as it was sent, faults and all; the whole ``body`` when that is one resource."""
        return body if entry.position is None else parse.dump(self.payload["entry"][entry.position])

    def faults_of(self, entry: Entry) -> list[Issue]:
        """The faults of an entry and of every entry that its references lead to."""
        assert self.envelope is not None
        return [issue for position in sorted(self.reached(entry)) for issue in self.entry_faults.get(position, [])]

    def reached(self, entry: Entry) -> set[int]:
        """The positions of an entry and of every entry that its references lead to."""
        reached: set[int] = set()
        ahead = [entry]
        while ahead:
            here = ahead.pop()
            if here.position is None or here.position in reached:
                continue
            reached.add(here.position)
            ahead += self._targets(here)
        return reached

    def _targets(self, entry: Entry) -> list[Entry]:
        assert self.envelope is not None
        found = (self.envelope.resolve(one, entry) for one in _reference_elements(entry.resource))
        return [target for target in found if target is not None and target.container is None]


def read(body: bytes, expected: str | None = None, put_to: str | None = None) -> Reading:
    """Parses and checks a request; ``expected`` is the only resource type that the door takes, None for any."""
    parsed = parse.parse(body)
    payload: Any = parsed.value
    issues = [_softened(issue) for issue in conformance.check(parsed.value)] if parsed.value is not None else []
    if errors_of(parsed.issues):
        # A text that breaks JSON's own rules is refused whole, with all else that can be said of it.
        return Reading(parsed.value, None, errors_of((*parsed.issues, *issues)), {}, ())
    whole, by_entry = _sorted_out(errors_of(issues))
    if expected is not None and _type_of(payload) not in (expected, None):
        whole = (*whole, _wrong_type(expected, payload))
    if put_to is not None and not whole:
        whole = _wrong_id(payload, put_to)
    remarks = tuple(issue for issue in issues if not issue.is_error)
    envelope = None if whole else Envelope(_without(payload, set(by_entry)), put_to)
    return Reading(payload, envelope, whole, by_entry, remarks)


def readable_referrals(payload: Any) -> list[Resource]:
    """The referrals that can be made out in a payload that may be faulty: one ledger row each."""
    if not isinstance(payload, dict):
        return []
    if payload.get("resourceType") == "ServiceRequest":
        return [payload]
    entries = payload.get("entry")
    resources = (
        [entry.get("resource") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    )
    requests = [one for one in resources if isinstance(one, dict) and one.get("resourceType") == "ServiceRequest"]
    return requests if len(requests) == 1 else [one for one in requests if not _is_order_kept_beside(one)]


def _is_order_kept_beside(resource: Resource) -> bool:
    """Whether a resource that was not checked is surely a laboratory or imaging order."""
    category = resource.get("category")
    checked = conformance.check({"resourceType": "ServiceRequest", "category": category})
    is_sound = not any(issue.is_error and issue.expression.startswith("ServiceRequest.category") for issue in checked)
    return is_sound and is_laboratory_or_imaging({"category": category} if category is not None else {})


def placer_if_readable(resource: Resource, placer_system: str | None) -> str | None:
    """The placer identifier of a resource that was not checked."""
    listed = resource.get("identifier")
    if not isinstance(listed, list) or any(issue.is_error for issue in _check_identifiers(listed)):
        return None
    placer = placer_identifier({"identifier": listed}, placer_system)
    return placer if placer is not None and _is_text(placer) else None


def _is_text(value: str) -> bool:
    """Whether a database can hold it: no NUL and no half of a surrogate pair."""
    return "\0" not in value and not any("\ud800" <= char <= "\udfff" for char in value)


def references(value: Any) -> list[str]:
    """Every literal reference in a resource, in document order."""
    return leads(value)[0]


def leads(value: Any) -> tuple[list[str], list[str]]:
    """Every literal reference in a resource, and where its attachments say that their content is; each in order."""
    found: tuple[list[str], list[str]] = ([], [])
    _gather(value, "", found)
    return found


def _gather(value: Any, name: str, found: tuple[list[str], list[str]]) -> None:
    """``name`` is that of the element that the value is, or is one of."""
    if value.__class__ is list:
        for item in value:
            if item.__class__ in NESTED:
                _gather(item, name, found)
        return
    if value.__class__ is not dict:
        return
    if name in ATTACHMENTS and isinstance(value.get("url"), str):
        found[1].append(value["url"])
    for inner, item in value.items():
        if item.__class__ in NESTED:
            _gather(item, inner, found)
        elif inner == "reference" and item.__class__ is str:
            found[0].append(item)


def _reference_elements(value: Any) -> list[Resource]:
    """Everything in a resource that can lead elsewhere: a Reference by its address or by its logical identifier."""
    return [
        element
        for element in _elements(value)
        if isinstance(element.get("reference"), str) or isinstance(element.get("identifier"), dict)
    ]


def _elements(value: Any) -> Iterator[Resource]:
    """Every object in a JSON value, itself included, in document order."""
    ahead: list[Any] = [value] if value.__class__ in NESTED else []
    while ahead:
        here = ahead.pop()
        inside: Any = here
        if here.__class__ is dict:
            yield here
            inside = here.values()
        ahead += [item for item in reversed(inside) if item.__class__ in NESTED]


def _check_identifiers(listed: list[Any]) -> list[Issue]:
    return conformance.check({"resourceType": "Basic", "identifier": listed, "code": {"text": "identifiers"}})


def _type_of(payload: Any) -> object:
    return payload.get("resourceType") if isinstance(payload, dict) else None


def _wrong_type(expected: str, payload: Resource) -> Issue:
    kind = payload["resourceType"]
    place = kind if isinstance(kind, str) and kind in resource_types() else ""
    return error("invalid", "wrong-resource-type", f"This address takes a {expected} resource.", place)


def _softened(issue: Issue) -> Issue:
    """A profile that a sender claims and does not keep is worth saying; only what R4 refuses is refused."""
    return replace(issue, severity=Severity.WARNING) if issue.rule == "profile" and issue.is_error else issue


def validated(body: bytes, kind: str, profiles: Sequence[str]) -> list[Issue]:
    """Everything that can be said of a resource of a type, asked for bare or as the ``resource`` of Parameters.

    https://hl7.org/fhir/R4/resource-operation-validate.html
    """
    parsed = parse.parse(body)
    payload: Any = parsed.value
    issues = list(parsed.issues)
    if _type_of(payload) == "Parameters" and kind != "Parameters" and not errors_of(issues):
        parameters = [one for one in payload.get("parameter", []) if isinstance(one, dict)]
        asked = [one.get("valueUri", one.get("valueCanonical")) for one in parameters if one.get("name") == "profile"]
        profiles = [*profiles, *(one for one in asked if isinstance(one, str))]
        payload = next((one["resource"] for one in parameters if "resource" in one), None)
    if payload is None and not issues:
        return [error("required", "missing-element", "Parameters need a part that is named resource.", "Parameters")]
    issues += conformance.check(payload, profiles) if payload is not None else []
    if isinstance(payload, dict) and _type_of(payload) not in (kind, None):
        issues.append(_wrong_type(kind, payload))
    return issues


def _wrong_id(payload: Resource, put_to: str) -> tuple[Issue, ...]:
    """https://hl7.org/fhir/R4/http.html#update"""
    if f"{payload['resourceType']}/{payload.get('id')}" == put_to:
        return ()
    words = "A resource that is PUT carries the id of the address that it is PUT to."
    return (error("invalid", "id-mismatch", words, f"{payload['resourceType']}.id"),)


def _sorted_out(faults: tuple[Issue, ...]) -> tuple[tuple[Issue, ...], dict[int, list[Issue]]]:
    whole: list[Issue] = []
    by_entry: dict[int, list[Issue]] = {}
    for issue in faults:
        match = _ENTRY.match(issue.expression)
        if match:
            by_entry.setdefault(int(match[1]), []).append(issue)
        else:
            whole.append(issue)
    return tuple(whole), by_entry


def _without(payload: Resource, faulty: set[int]) -> Resource:
    """The payload with faulty entries reduced to what can still be pointed at, so that the rest can be read."""
    if not faulty:
        return payload
    kept = [_husk(entry) if index in faulty else entry for index, entry in enumerate(payload["entry"])]
    return {**payload, "entry": kept}


def _husk(entry: Any) -> Resource:
    if not isinstance(entry, dict):
        return {}
    resource = entry.get("resource")
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        return {}
    husk: Resource = {name: resource[name] for name in ("resourceType", "id") if isinstance(resource.get(name), str)}
    identifiers = resource.get("identifier")
    if isinstance(identifiers, list) and not any(issue.is_error for issue in _check_identifiers(identifiers)):
        husk["identifier"] = identifiers
    return {"resource": husk, **({"fullUrl": entry["fullUrl"]} if isinstance(entry.get("fullUrl"), str) else {})}
