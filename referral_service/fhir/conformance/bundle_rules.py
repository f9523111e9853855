"""The rules of a Bundle that depend on its type, https://hl7.org/fhir/R4/bundle.html#invs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from referral_service.fhir.conformance.bindings import codes_of
from referral_service.fhir.conformance.invariants import has
from referral_service.fhir.conformance.scope import Object, Scope
from referral_service.fhir.conformance.table import resource_types

Entry = tuple[str, Object]
BUNDLE_TYPES = "http://hl7.org/fhir/ValueSet/bundle-type"
REQUESTED = frozenset({"batch", "transaction", "history"})
ANSWERED = frozenset({"batch-response", "transaction-response", "history"})
FIRST = {"document": ("Composition", "bdl-11"), "message": ("MessageHeader", "bdl-12")}
LINKS = (
    ("subject",),
    ("encounter",),
    ("author",),
    ("attester", "party"),
    ("custodian",),
    ("event", "detail"),
    ("section", "author"),
    ("section", "focus"),
    ("section", "entry"),
)
"""What a Composition refers to, and its document has to hold, https://hl7.org/fhir/R4/documents.html#content."""

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
_RESTFUL = re.compile(r"https?://(?:[A-Za-z0-9\-.:%$_]+/)+([A-Z][A-Za-z]{1,63})/([A-Za-z0-9\-.]{1,64})").fullmatch
"""https://hl7.org/fhir/R4/references.html#regex"""


def judge(value: Object, path: str, scope: Scope) -> None:
    """Rules that hang on the type are left alone while the type itself is wrong."""
    entries = list(entries_of(value, path))
    kind = value.get("type")
    if kind.__class__ is str and kind in (codes_of(BUNDLE_TYPES) or ()):
        judge_total(value, kind, path, scope)
        for place, entry in entries:
            judge_entry(entry, kind, place, scope)
        judge_document(value, kind, path, scope)
        judge_first(value, kind, path, scope)
        if kind == "document":
            judge_links(entries, scope)
    for place, entry in entries:
        judge_content(entry, place, scope)
        judge_full_url(entry, place, scope)
    if kind != "history":
        judge_urls(entries, scope)


def entries_of(value: Object, path: str) -> Iterator[Entry]:
    entries = value.get("entry")
    for index, entry in enumerate(entries if entries.__class__ is list else ()):
        if entry.__class__ is dict:
            yield f"{path}.entry[{index}]", entry


def judge_total(value: Object, kind: str, path: str, scope: Scope) -> None:
    if has(value, "total") and kind not in ("searchset", "history"):
        scope.fault("bundle-rule", f"{path}.total", "A total stands only in a searchset or history (bdl-1).")


def judge_entry(entry: Object, kind: str, place: str, scope: Scope) -> None:
    if "search" in entry and kind != "searchset":
        scope.fault("bundle-rule", f"{place}.search", '"search" stands only in a searchset (bdl-2).')
    for name, kinds, key in (("request", REQUESTED, "bdl-3"), ("response", ANSWERED, "bdl-4")):
        if (name in entry) != (kind in kinds):
            must = "must have" if kind in kinds else "must not have"
            words = f'Each entry of a Bundle of this type {must} a "{name}" ({key}).'
            scope.fault("bundle-rule", f"{place}.{name}", words)


def judge_document(value: Object, kind: str, path: str, scope: Scope) -> None:
    if kind != "document":
        return
    identifier = value.get("identifier")
    given = identifier if identifier.__class__ is dict else {}
    if not (has(given, "system") and has(given, "value")):
        words = "A document needs an identifier with system and value (bdl-9)."
        scope.fault("bundle-rule", f"{path}.identifier", words)
    if "timestamp" not in value:
        scope.fault("bundle-rule", f"{path}.timestamp", "A document needs a timestamp (bdl-10).")


def judge_first(value: Object, kind: str, path: str, scope: Scope) -> None:
    if kind not in FIRST:
        return
    wanted, key = FIRST[kind]
    entries = value.get("entry")
    first = entries[0] if entries.__class__ is list and entries else None
    resource: Any = first.get("resource") if first.__class__ is dict else None
    if resource.__class__ is not dict or resource.get("resourceType") != wanted:
        words = f"The first entry of a {kind} must be a {wanted} ({key})."
        scope.fault("bundle-rule", f"{path}.entry[0]" if first is not None else f"{path}.entry", words)


def judge_content(entry: Object, place: str, scope: Scope) -> None:
    if not any(name in entry for name in ("resource", "request", "response")):
        scope.fault("bundle-rule", place, "An entry needs a resource, a request or a response (bdl-5).")
    url = entry.get("fullUrl")
    if url.__class__ is str and "/_history/" in url:
        scope.fault("bundle-rule", f"{place}.fullUrl", "A fullUrl must not name a version (bdl-8).")


def judge_full_url(entry: Object, place: str, scope: Scope) -> None:
    """The element's definition, https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.fullUrl.

    Only what looks like an address at a server tells an id; a resource without one does not disagree.
    """
    url: Any = entry.get("fullUrl")
    if url.__class__ is not str or not url:
        return
    if not _ABSOLUTE.match(url):
        scope.fault("bundle-rule", f"{place}.fullUrl", "A fullUrl must be absolute.")
    found = _RESTFUL(url)
    resource: Any = entry.get("resource")
    if found is None or found[1] not in resource_types() or resource.__class__ is not dict:
        return
    if "id" in resource and (resource.get("resourceType"), resource["id"]) != found.groups():
        words = "A fullUrl of this form must end with the type and the id of the resource."
        scope.fault("bundle-rule", f"{place}.fullUrl", words)


def judge_links(entries: list[Entry], scope: Scope) -> None:
    place, first = entries[0] if entries else ("", {})
    composition: Any = first.get("resource")
    if composition.__class__ is not dict or composition.get("resourceType") != "Composition":
        return
    known = {address for _, entry in entries for address in addresses(entry)}
    for link in LINKS:
        for path, reference in linked(composition, f"{place}.resource", link):
            literal: Any = reference.get("reference")
            if literal.__class__ is str and literal and literal[0] != "#" and unversioned(literal) not in known:
                words = "A document must hold what its Composition refers to."
                scope.fault("bundle-rule", f"{path}.reference", words)


def addresses(entry: Object) -> Iterator[str]:
    """All that an entry may be meant by: its fullUrl, the end of it, and the type and id of its resource."""
    url: Any = entry.get("fullUrl")
    if url.__class__ is str:
        yield url
        yield "/".join(url.rsplit("/", 2)[-2:])
    resource: Any = entry.get("resource")
    if resource.__class__ is dict:
        yield f"{resource.get('resourceType')}/{resource.get('id')}"


def unversioned(literal: str) -> str:
    return literal.partition("/_history/")[0]


def linked(value: Object, path: str, steps: tuple[str, ...]) -> Iterator[Entry]:
    """The objects at the end of a path, each with its place; sections hold sections."""
    name, rest = steps[0], steps[1:]
    given: Any = value.get(name)
    for index, each in enumerate(given if given.__class__ is list else [given]):
        if each.__class__ is not dict:
            continue
        place = f"{path}.{name}[{index}]" if given.__class__ is list else f"{path}.{name}"
        if rest:
            yield from linked(each, place, rest)
        else:
            yield place, each
        if name == "section":
            yield from linked(each, place, steps)


def judge_urls(entries: list[Entry], scope: Scope) -> None:
    seen: set[tuple[str, str]] = set()
    for place, entry in entries:
        url = entry.get("fullUrl")
        if url.__class__ is not str:
            continue
        version = (url, version_of(entry.get("resource")))
        if version in seen:
            words = "Another entry has the same fullUrl, and the same meta.versionId or none (bdl-7)."
            scope.fault("bundle-rule", f"{place}.fullUrl", words)
        seen.add(version)


def version_of(resource: Any) -> str:
    meta = resource.get("meta") if resource.__class__ is dict else None
    version = meta.get("versionId") if meta.__class__ is dict else None
    return version if version.__class__ is str else ""
