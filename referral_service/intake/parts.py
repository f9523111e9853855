"""What somebody may see of a received text that was not taken, or not all of it.

A request can be taken in part, and what was taken of it stands in a queue. Whoever does not see all of that sees only
the entries that were not taken and what their references lead to.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from referral_service.fhir.bundle import Entry
from referral_service.fhir.parse import dump
from referral_service.intake.reading import Reading, read, references
from referral_service.intake.site import type_and_id
from referral_service.intake.subject import identifier_pairs, names_of
from referral_service.store import audit, lookups, nottaken
from referral_service.store.engine import Connection
from referral_service.store.lookups import Pair
from referral_service.store.nottaken import Request
from referral_service.store.sight import Sight, seen


@dataclass(frozen=True, slots=True)
class Part:
    """``body`` is the text as far as it is shown, None when there is none or nothing of it is.

    ``taken`` are the references in it to what was taken; ``places`` give, for a row of the ledger, the referral's place
    in ``body`` where that is another one.
    """

    request: Request
    body: bytes | None
    is_whole: bool = True
    taken: Collection[str] = ()
    places: Mapping[int, int] = field(default_factory=dict)


def part_of(connection: Connection, sight: Sight, received_id: str, body: bytes | None) -> Part:
    """The text that was received, or the part of it that is not out of sight."""
    request = nottaken.request(connection, received_id)
    taken = set(request.taken)
    if not sight.everything:
        taken = {one for one in taken if seen(connection, sight, *type_and_id(one)) is not None}
    if taken == set(request.taken):
        return Part(request, body, taken=taken)
    shown = [position for position, one in request.not_taken.items() if one is None or one in taken]
    return _cut(request, body, shown)


def _cut(request: Request, body: bytes | None, shown: list[int]) -> Part:
    """Only the entries of the referrals that are shown, in a Bundle of the same type; of one resource all or nothing.

    Of a text in which no single entry can be made out nothing is shown.
    """
    reading = read(body) if body is not None and shown else None
    if reading is None or reading.envelope is None:
        return Part(request, None, is_whole=False)
    referrals = reading.envelope.referrals()
    shown = [one for one in shown if one < len(referrals)]
    own = [request.not_taken[one] for one in shown]
    if not reading.envelope.is_bundle:
        return Part(request, body, taken=[one for one in own if one])
    kept: set[int] = set()
    for position in shown:
        kept |= reading.reached(referrals[position])
    kept -= {one.position for place, one in enumerate(referrals) if place not in shown and one.position is not None}
    payload = reading.payload
    cut = {name: payload[name] for name in ("resourceType", "type")}
    cut["entry"] = [payload["entry"][place] for place in sorted(kept)]
    taken = [one for one in (*own, *(request.answers.get(place) for place in kept)) if one]
    places = {position: place for place, position in enumerate(shown)}
    return Part(request, dump(cut), is_whole=False, taken=taken, places=places)


def patients_in(connection: Connection, part: Part, public_url: str) -> set[str]:
    """The ids of the stored Patients whom a part names: those who came with it, and those whom it refers to."""
    came = {type_and_id(one)[1] for one in part.taken if one.startswith("Patient/")}
    referrals = [type_and_id(one)[1] for one in part.taken if one.startswith("ServiceRequest/")]
    found = came | audit.patients_of(connection, referrals)
    if part.body is None:
        return found
    reading = read(part.body)
    names, pairs = set(_names(reading, public_url)), set(_identifiers(reading))
    here = lookups.known(connection, part.request.client, addresses=names, identifiers=pairs)
    found |= {type_and_id(one)[1] for one in here.addresses.values() if one.startswith("Patient/")}
    return found | {one for ids in here.patients.values() for one in ids}


def _names(reading: Reading, public_url: str) -> Iterator[str]:
    if reading.envelope is None:
        yield from references(reading.payload)
        return
    for entry in reading.envelope.entries:
        for text in references(entry.resource):
            yield from names_of(text, entry, public_url)


def _identifiers(reading: Reading) -> Iterator[Pair]:
    for entry in _sound(reading):
        for one in (entry, *entry.contained()):
            if one.type == "Patient":
                yield from identifier_pairs(one.resource)


def _sound(reading: Reading) -> Iterator[Entry]:
    entries = reading.envelope.entries if reading.envelope is not None else []
    return (entry for entry in entries if entry.position not in reading.entry_faults)
