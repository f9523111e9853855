"""The canonical hash that tells whether two referrals say the same.

It leaves out what changes from sending to sending (id, meta, narrative) and replaces each reference by the same hash
of its target when that came along, else by the address it resolves to; so the same referral in another envelope, with
other urn:uuids or in another order of entries, has the same hash.
"""

from __future__ import annotations

import hashlib
from operator import is_not
from typing import Any

import orjson
from pydantic import TypeAdapter

from referral_service.fhir.bundle import NESTED, Entry, Envelope, Resource, literal
from referral_service.fhir.parse import dump_sorted
from referral_service.referral import DecisionInput

_LEFT_OUT = ("id", "meta", "text", "contained")


def canonical_hash(envelope: Envelope, entry: Entry) -> str:
    """SHA-256 in hex of a resource and of what it leads to within the request."""
    return _hash(envelope, entry, ())


def content_hash(resource: Resource) -> str:
    """SHA-256 in hex of one resource as sent, without id and meta."""
    body = {name: value for name, value in resource.items() if name not in ("id", "meta")}
    return _digest(body)


def combined_hash(hashes: list[str]) -> str:
    """One hash for the referrals of a whole request, in order."""
    return hashes[0] if len(hashes) == 1 else _digest(hashes)


def _hash(envelope: Envelope, entry: Entry, path: tuple[int, ...]) -> str:
    path = (*path, id(entry.resource))
    body = {name: value for name, value in entry.resource.items() if name not in _LEFT_OUT}
    canonical = _replaced(body, envelope, entry, path)
    if "contained" in entry.resource:
        inside = (one for one in entry.contained() if id(one.resource) not in path)
        canonical = {**canonical, "contained": sorted(_hash(envelope, one, path) for one in inside)}
    return _digest(canonical)


def _replaced(value: Any, envelope: Envelope, source: Entry, path: tuple[int, ...]) -> Any:
    """What no reference stands in stays as it is."""
    if value.__class__ is list:
        items = [_replaced(item, envelope, source, path) if item.__class__ in NESTED else item for item in value]
        return items if any(map(is_not, items, value)) else value
    changed = {}
    for name, item in value.items():
        if item.__class__ in NESTED:
            new = _replaced(item, envelope, source, path)
            if new is not item:
                changed[name] = new
        elif name == "reference" and item.__class__ is str:
            changed[name] = _address(item, envelope, source, path)
    return {**value, **changed} if changed else value


def _address(reference: str, envelope: Envelope, source: Entry, path: tuple[int, ...]) -> str:
    target = envelope.resolve({"reference": reference}, source)
    if target is not None:
        # A target that leads back here adds nothing; without this a circle of references would never end.
        return target.type if id(target.resource) in path else _hash(envelope, target, path)
    parts, home = literal(reference), literal((source.container or source).full_url)
    if parts is None:
        return reference
    base = parts.base or (home.base if home else None)
    return f"{base}/{parts.relative}" if base else parts.relative


def _digest(value: Any) -> str:
    return digest(dump_sorted(value))


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values say the same, whatever the order of their keys."""
    return dump_sorted(one) == dump_sorted(other)


def digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def facts_json(facts: Any) -> bytes:
    """Frozen facts as JSON with sorted keys: the same facts give the same bytes."""
    return orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)


_INPUT = TypeAdapter(DecisionInput)


def read_input(text: str) -> DecisionInput:
    """The facts of a decision as :func:`facts_json` wrote them."""
    return _INPUT.validate_json(text)
