"""Which entry is the referral, and whom its subject points at.

An :class:`Envelope` is one request as received, bare resource or Bundle, with every resource in it as an
:class:`Entry`, and answers what a reference leads to by the rules of
https://hl7.org/fhir/R4/bundle.html#references and https://hl7.org/fhir/R4/references.html#contained.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

Resource = dict[str, Any]
"""A checked resource as parsed, never changed in place."""

Files = dict[tuple[int, str], Resource]

_LITERAL = re.compile(
    r"(?:(?P<base>https?://.+)/)?(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64})(?:/_history/.+)?"
)
_LABORATORY_OR_IMAGING = {
    ("http://snomed.info/sct", "108252007"),
    ("http://snomed.info/sct", "363679005"),
    ("http://terminology.hl7.org/CodeSystem/observation-category", "laboratory"),
    ("http://terminology.hl7.org/CodeSystem/observation-category", "imaging"),
    ("http://terminology.hl7.org/CodeSystem/v2-0074", "LAB"),
    ("http://terminology.hl7.org/CodeSystem/v2-0074", "RAD"),
}
"""Categories of orders kept beside a referral (https://hl7.org/fhir/R4/valueset-servicerequest-category.html)."""


NESTED = frozenset({dict, list})
"""The classes of what holds other values in a resource as parsed."""

ATTACHMENTS = frozenset({"attachment", "contentAttachment", "presentedForm", "valueAttachment", "photo"})
"""The elements of type Attachment in what is stored (https://hl7.org/fhir/R4/datatypes.html#Attachment)."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A literal reference taken apart: ``https://base/Patient/1`` or ``Patient/1``."""

    base: str | None
    type: str
    id: str

    @property
    def relative(self) -> str:
        return f"{self.type}/{self.id}"


def literal(reference: object) -> Literal | None:
    """The parts of a RESTful reference, its version left out; None for fragments, urns and anything else."""
    match = _LITERAL.fullmatch(reference) if isinstance(reference, str) else None
    return Literal(match["base"], match["type"], match["id"]) if match else None


@dataclass(slots=True, eq=False)
class Entry:
    """One resource of a request. ``path`` is its FHIRPath in what was sent; ``position`` its place in the Bundle."""

    path: str
    resource: Resource
    position: int | None = None
    full_url: str | None = None
    request: Resource = field(default_factory=dict)
    container: Entry | None = None
    _inside: list[Entry] | None = field(default=None, repr=False)

    @property
    def type(self) -> str:
        return str(self.resource["resourceType"])

    @property
    def method(self) -> str | None:
        method = self.request.get("method")
        return method if isinstance(method, str) else None

    def contained(self) -> list[Entry]:
        if self._inside is None:
            listed = enumerate(self.resource.get("contained", []))
            self._inside = [Entry(f"{self.path}.contained[{place}]", one, container=self) for place, one in listed]
        return self._inside

    def addresses(self) -> list[str]:
        """The names under which its sender will speak of it again: relative, and absolute where the fullUrl is one.

        The id of a POST is not a name: the receiver assigns it (https://hl7.org/fhir/R4/http.html#create).
        """
        names: list[str] = []
        full = literal(self.full_url)
        if full is not None and full.base is not None:
            names += [f"{full.base}/{full.relative}", full.relative]
        target = literal(self.request.get("url"))
        if self.method == "PUT" and target is not None:
            names.append(target.relative)
        if self.position is not None and not self.request and "id" in self.resource:
            names.append(f"{self.type}/{self.resource['id']}")
        return list(dict.fromkeys(names))


class Envelope:
    """One request: its entries, the referrals among them, and what its references lead to.

    ``put_to`` is the relative address that a bare resource was PUT to; ``path`` the FHIRPath of a Bundle that stands in
    another. ``files`` are Binaries that are here already and that attachments of its records lead to, by the ``id()``
    of the record and the attachment's address.
    """

    def __init__(
        self, payload: Resource, put_to: str | None = None, path: str = "Bundle", files: Files | None = None
    ) -> None:
        self.payload = payload
        self.files: Files = {} if files is None else files
        self.is_bundle = payload.get("resourceType") == "Bundle"
        self.bundle_type: str | None = payload.get("type") if self.is_bundle else None
        request = {"method": "PUT", "url": put_to} if put_to else {}
        bare = Entry(str(payload["resourceType"]), payload, request=request)
        self.entries = _entries(payload, path) if self.is_bundle else [bare]
        self._by_url: dict[str, Entry] = {}
        self._by_relative: dict[str, list[Entry]] = {}
        for entry in self.entries:
            if entry.full_url:
                self._by_url.setdefault(entry.full_url, entry)
            for name in {*entry.addresses(), *_own_name(entry)}:
                self._by_relative.setdefault(name, []).append(entry)

    def referrals(self) -> list[Entry]:
        """The ServiceRequests to be decided, in order.

        Those in focus of the message; a sole one, whatever its category; else all but laboratory and imaging
        orders, which are only kept beside them. Contained ServiceRequests never.
        """
        in_focus = [referral for _, referral in self.in_focus()]
        if in_focus:
            return in_focus
        requests = [entry for entry in self.entries if entry.type == "ServiceRequest"]
        if len(requests) == 1:
            return requests
        return [entry for entry in requests if not is_laboratory_or_imaging(entry.resource)]

    def resolve(self, reference: object, source: Entry) -> Entry | None:
        """What a Reference element of ``source`` leads to within this request; None when it leads elsewhere."""
        if not isinstance(reference, dict):
            return None
        address = reference.get("reference")
        if isinstance(address, str):
            return self._at(address, source)
        return self._with_identifier(reference)

    def patients(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.type == "Patient"]

    def _at(self, address: str, source: Entry) -> Entry | None:
        home = source.container or source
        if address == "#":
            return home
        if address.startswith("#"):
            return next((entry for entry in home.contained() if entry.resource.get("id") == address[1:]), None)
        if address in self._by_url:
            return self._by_url[address]
        parts = literal(address)
        if parts is None:
            return None
        return self._at_literal(parts, literal(home.full_url))

    def _at_literal(self, parts: Literal, home: Literal | None) -> Entry | None:
        base = parts.base or (home.base if home else None)
        found = self._by_url.get(f"{base}/{parts.relative}") if base else None
        if found is not None or parts.base is not None:
            return found
        # The specification resolves a relative reference only against a RESTful fullUrl, but senders leave that out
        # or use urn:uuid beside relative references; one sole entry of that type and id is meant without doubt.
        candidates = self._by_relative.get(parts.relative, [])
        return candidates[0] if len(candidates) == 1 else None

    def _with_identifier(self, reference: Resource) -> Entry | None:
        wanted = reference.get("identifier")
        if not isinstance(wanted, dict) or "value" not in wanted:
            return None
        key = (wanted.get("system"), wanted["value"])
        kind = reference.get("type")
        found = [
            entry
            for entry in self.entries
            if (kind is None or entry.type == kind) and key in _identifier_keys(entry.resource)
        ]
        return found[0] if len(found) == 1 else None

    def in_focus(self) -> list[tuple[list[Entry], Entry]]:
        """The ServiceRequests that a message is about, each with all Tasks in focus that lead to it."""
        if self.bundle_type != "message" or not self.entries:
            return []
        header = self.entries[0]
        found: dict[int, tuple[list[Entry], Entry]] = {}
        for focus in header.resource.get("focus", []):
            target = self.resolve(focus, header)
            tasks = [target] if target is not None and target.type == "Task" else []
            for task in tasks:
                target = self.resolve(task.resource.get("focus"), task)
            if target is not None and target.type == "ServiceRequest":
                found.setdefault(id(target.resource), ([], target))[0].extend(tasks)
        return list(found.values())

    def documents(self) -> list[Envelope]:
        """The documents that came along as Bundles of their own; what they refer to is looked for in them alone."""
        return [
            Envelope(entry.resource, path=entry.path)
            for entry in self.entries
            if entry.type == "Bundle" and entry.resource.get("type") == "document"
        ]


def identifiers(resource: Resource) -> list[Resource]:
    """The resource's identifiers that have a value, whether the element repeats (most types) or not."""
    value = resource.get("identifier", [])
    return [item for item in (value if isinstance(value, list) else [value]) if "value" in item]


def _identifier_keys(resource: Resource) -> set[tuple[object, object]]:
    return {(item.get("system"), item["value"]) for item in identifiers(resource)}


def _entries(bundle: Resource, path: str) -> list[Entry]:
    return [
        Entry(
            path=f"{path}.entry[{index}].resource",
            resource=entry["resource"],
            position=index,
            full_url=entry.get("fullUrl"),
            request=entry.get("request", {}),
        )
        for index, entry in enumerate(bundle.get("entry", []))
        if "resource" in entry
    ]


def _own_name(entry: Entry) -> list[str]:
    return [f"{entry.type}/{entry.resource['id']}"] if "id" in entry.resource else []


def is_laboratory_or_imaging(resource: Resource) -> bool:
    return any(
        (coding.get("system"), coding.get("code")) in _LABORATORY_OR_IMAGING
        for category in resource.get("category", [])
        for coding in category.get("coding", [])
    )
