"""Attachments that a record only names, and that lie at its sender's EHR: written down with it, for a worker to fetch.

Never at the door: a letter may be large, and a decision that rests on its words is made again when they are here.
"""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from referral_service.ehr.known import Ehr, Wanted
from referral_service.fhir.attachments import addresses_of
from referral_service.fhir.bundle import Entry, Resource
from referral_service.intake.course import Course
from referral_service.intake.fetches import ehr_of
from referral_service.intake.site import Became
from referral_service.store import attached, fetches, files, tables
from referral_service.store.engine import Connection, instant
from referral_service.store.files import Row
from referral_service.store.writes import bounded

_KIND = "Binary"


def await_files(course: Course) -> None:
    """What the records that a request has made or changed name at its sender's EHR and nobody has sent."""
    named: dict[str, dict[str, tuple[Entry, str]]] = {}
    kinds: dict[str, str] = {}
    entries = {entry.position or 0: entry for entry in course.envelope.entries}
    for place, answer in course.answers.items():
        if answer.became in (Became.CREATED, Became.UPDATED) and answer.id and answer.type and place in entries:
            found = {address: (holder, kind) for holder, address, kind in _outside(course, entries[place])}
            named |= {answer.id: found} if found else {}
            kinds[answer.id] = answer.type
    ehr = ehr_of(course.connection, course.incoming.client) if named else None
    if ehr is None:
        return
    here = files.of_owners(course.connection, named)
    for owner, addresses in named.items():
        again = [address for address in addresses if (owner, address) in here]
        files.revive(course.connection, owner, again, course.incoming.at)
        for address in addresses.keys() - set(again):
            holder, media_type = addresses[address]
            wanted = _at(ehr, address, holder.container or holder)
            if wanted is not None:
                row = {"owner": owner, "name": bounded(address), "type": kinds[owner], "address": address}
                course.draft.add(tables.ehr_file, **row, media_type=media_type, **_columns(course, ehr, wanted))


def _outside(course: Course, entry: Entry) -> Iterator[tuple[Entry, str, str]]:
    """The attachments of a record, or of what is contained in it, whose content is neither in the request nor here."""
    for holder in (entry, *entry.contained()):
        for address, media_type in addresses_of(holder.resource).items():
            reference = {"reference": address}
            came_along = course.envelope.resolve(reference, holder) is not None
            if not came_along and course.draft.reference_of(reference, holder) is None:
                yield holder, address, media_type


def _at(ehr: Ehr, address: str, source: Entry) -> Wanted | None:
    record = ehr.record(address, source.full_url)
    return record if record is not None and record.type == _KIND else None


def _columns(course: Course, ehr: Ehr, wanted: Wanted) -> dict[str, object]:
    at = course.incoming.at
    return {
        "full_url": ehr.address(wanted),
        "host": ehr.host,
        "due": instant(at),
        "attempts": 0,
        "until": instant(at + fetches.KEPT_ASKING),
        "tries": 0,
    }


def wanted_file(connection: Connection, row: Row) -> tuple[Ehr, Wanted] | None:
    """What is to be fetched where; None when the record names it no longer, when its sender has sent it meanwhile, or
    when the sender's EHR is another by now."""
    ehr, text = ehr_of(connection, row["client"]), files.holder(connection, row)
    wanted = ehr.record(row["full_url"]) if ehr is not None else None
    if ehr is None or wanted is None or text is None or row["address"] not in _named(orjson.loads(text)):
        return None
    is_here = attached.binary(connection, row["client"], row["address"]) is not None
    return None if is_here else (ehr, wanted)


def _named(record: Resource) -> set[str]:
    return {address for one in (record, *record.get("contained", [])) for address in addresses_of(one)}
