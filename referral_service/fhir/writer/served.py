"""The sender's own resource as we serve it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import is_not
from typing import Any

from referral_service.fhir.bundle import ATTACHMENTS, NESTED, Resource

AI_ASSISTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "AIAST",
    "display": "Artificial Intelligence asserted",
}
"""Says that a machine chose the tags (https://terminology.hl7.org/CodeSystem-v3-ObservationValue.html)."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """Identity and time of one version of a resource; ``last_updated`` is a FHIR instant."""

    id: str
    version: int
    last_updated: str

    @classmethod
    def following(cls, row: Mapping[str, Any], at: str) -> Stamp:
        """That of the version after a stored one, never dated before it: clocks differ, and are set back."""
        return cls(row["id"], row["version"] + 1, max(at, row["last_updated"]))


def served(
    resource: Resource,
    stamp: Stamp,
    rewrite: Callable[[str], str | None],
    *,
    tags: Sequence[Resource] = (),
    security: Sequence[Resource] = (),
    replaced: Sequence[Resource] = (),
) -> Resource:
    """The sender's resource as we serve it: with our id and meta, and the references that ``rewrite`` knows.

    The sender's labels stay and ours follow; those of ``replaced`` are ours of before, come back with an update.
    """
    meta = dict(resource.get("meta", {}))
    meta["versionId"], meta["lastUpdated"] = str(stamp.version), stamp.last_updated
    for name, ours in (("tag", tags), ("security", security)):
        theirs = [label for label in meta.get(name, []) if label not in replaced]
        listed = theirs + [label for label in ours if label not in theirs]
        if listed:
            meta[name] = listed
    body = {name: value for name, value in resource.items() if name not in ("resourceType", "id", "meta")}
    return {"resourceType": resource["resourceType"], "id": stamp.id, "meta": meta, **_rewritten(body, rewrite)}


def _rewritten(value: Any, rewrite: Callable[[str], str | None], name: str = "") -> Any:
    """``name`` is that of the element that the value is, or is one of; what nothing is rewritten in stays as it is."""
    if value.__class__ is list:
        items = [_rewritten(item, rewrite, name) if item.__class__ in NESTED else item for item in value]
        return items if any(map(is_not, items, value)) else value
    changed = {}
    for inner, item in value.items():
        new = item
        if item.__class__ in NESTED:
            new = _rewritten(item, rewrite, inner)
        elif item.__class__ is str and (inner == "reference" or (inner == "url" and name in ATTACHMENTS)):
            new = rewrite(item) or item
        if new is not item:
            changed[inner] = new
    return {**value, **changed} if changed else value
