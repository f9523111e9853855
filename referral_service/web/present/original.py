"""A resource as its sender sent it, laid out for reading: every element that it has, each by its name in FHIR."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from referral_service.web.present import people
from referral_service.web.present.plain import plain

Resource = Mapping[str, Any]
_LEFT_OUT = {"resourceType", "meta", "id"}
_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Node:
    """One element: what it is called, its value in words, and what stands below it."""

    label: str
    text: str
    below: tuple[Node, ...] = ()


def outline(resource: Resource) -> tuple[Node, ...]:
    return tuple(_elements(resource))


def label(name: str) -> str:
    """``reasonCode`` -> ``Reason code``."""
    spaced = _CAPITAL.sub(" ", name).lower()
    return spaced[:1].upper() + spaced[1:]


def _elements(holder: Resource, *without: str) -> Iterator[Node]:
    for name, value in holder.items():
        if name not in _LEFT_OUT and name not in without and not name.startswith("_"):
            for one in value if isinstance(value, list) else [value]:
                yield _node(name, one)


def _node(name: str, value: Any) -> Node:
    if not isinstance(value, Mapping):
        return Node(label(name), _scalar(name, value))
    if "resourceType" in value:
        return Node(str(value["resourceType"]), "", outline(value))
    if name in ("extension", "modifierExtension"):
        return _extension(value)
    if "coding" in value:
        codings = tuple(Node("Coding", people.coding_words(one)) for one in value["coding"])
        return Node(label(name), people.concept(value), (*codings, *_elements(value, "coding", "text")))
    for said, used in _WORDS:
        if used & value.keys():
            return Node(label(name), said(value), tuple(_elements(value, *used)))
    return Node(label(name), "", tuple(_elements(value)))


def _extension(value: Resource) -> Node:
    called = label(str(value.get("url", "")).rpartition("/")[2] or "extension")
    (inner, *_) = [*_elements(value, "url"), Node("", "")]
    return Node(called, inner.text, inner.below) if "extension" not in value else Node(called, "", outline(value))


def _scalar(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "div":
        return plain(str(value))
    if name == "data":
        return f"{len(str(value)) * 3 // 4:,} bytes, see the attachments"
    return str(value)


def _reference(value: Resource) -> str:
    return " · ".join(str(value[part]) for part in ("display", "reference") if part in value)


def _period(value: Resource) -> str:
    parts = ((word, value.get(edge)) for word, edge in (("from", "start"), ("to", "end")))
    return " ".join(f"{word} {at}" for word, at in parts if at)


def _quantity(value: Resource) -> str:
    return " ".join(str(value[part]) for part in ("comparator", "value", "unit") if part in value)


_WORDS = (
    (_reference, {"reference", "display"}),
    (_period, {"start", "end"}),
    (_quantity, {"value", "unit", "comparator"}),
    (lambda value: str(value["text"]), {"text"}),
)
"""How a value is said, by the elements that tell its type; all others stand below it."""
