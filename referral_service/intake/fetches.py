"""What a referral points at that only its sender's EHR can tell: read at the door when that is quick, else later.

Outside of any transaction: what the door has read is stored before the referral is taken in hand, and what it has not
got is written down with the referral, for a worker to fetch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import islice

import orjson

from referral_service.ehr.faults import FOR_GOOD, NOT_ASKED, WORDS
from referral_service.ehr.known import Ehr, Wanted
from referral_service.ehr.reading import TYPES, Visit
from referral_service.fhir.bundle import Entry, Resource, literal
from referral_service.fhir.reader import placer_identifier
from referral_service.intake.course import Course, begin
from referral_service.intake.deciding import Decided, decide_entry
from referral_service.intake.evidence import outside, records_of
from referral_service.intake.reading import Reading
from referral_service.intake.site import Incoming, Site
from referral_service.intake.subject import Subject, find_subject, names_of
from referral_service.issues import Issue, information
from referral_service.referral import Disposition
from referral_service.store import fetches, leases, tables
from referral_service.store.engine import Connection, instant
from referral_service.store.writes import bounded

MOST_AT_DOOR = 8
_AGAIN = timedelta(seconds=1)
NOTHING = Visit()
CALLED_OFF = "called-off"


def ehr_of(connection: Connection, client: str) -> Ehr | None:
    """Where a client's records lie, if that was registered."""
    row = fetches.ehr_of(connection, client)
    return Ehr(client, row["ehr_base"], row["ehr_token_url"], row["ehr_client_id"]) if row is not None else None


def is_still_wanted(course: Course, ehr: Ehr, row: fetches.Row | None) -> bool:
    """Whether the record of a request that was fetched from an EHR is not here yet, and still to be had from there.

    ``row`` is what a worker has in hand, None at the door.
    """
    current = ehr_of(course.connection, ehr.client)
    is_here = course.known.reference(course.envelope.entries[0].addresses()) is not None
    if is_here or current is None or current.base != ehr.base:
        return False
    return row is None or (
        leases.is_in_hand(course.connection, tables.ehr_fetch, row) and fetches.is_waited_for(course.connection, row)
    )


def visit_at_door(site: Site, incoming: Incoming, reading: Reading) -> tuple[Ehr | None, Visit]:
    """What the new referrals of a request lack, as far as it is quickly had, and where; for a replay or a change
    nothing."""
    if site.ehrs is None or not _points_outside(reading):
        return None, NOTHING
    with site.store.reading() as connection:
        ehr = ehr_of(connection, incoming.client)
        if ehr is None:
            return None, NOTHING
        why_not = site.ehrs.why_not_now(ehr)
        if why_not is not None:
            return ehr, Visit(not_made=why_not)
        course = begin(connection, site, incoming, reading)
        wanted = dict.fromkeys(one for entry in _new(course) for one in _lacking(course, entry, ehr))
    patients_first = sorted(wanted, key=lambda one: one.type != "Patient")
    return ehr, site.ehrs.at_door(ehr, patients_first[:MOST_AT_DOOR]) if wanted else NOTHING


def _points_outside(reading: Reading) -> bool:
    """Whether there is anything to ask for, as far as the request itself tells."""
    assert reading.envelope is not None
    envelope = reading.envelope
    sound = [entry for entry in envelope.referrals() if entry.position not in reading.entry_faults]
    return any(
        envelope.resolve(entry.resource["subject"], entry) is None or next(outside(envelope, entry), None) is not None
        for entry in sound
    )


def _new(course: Course) -> Iterator[Entry]:
    """The referrals that are not here yet, as far as their keys tell, and that nothing is wrong with."""
    key = course.incoming.idempotency_key
    if course.incoming.if_none_exist or (key and ("idempotency", key) in course.known.keys):
        return
    for entry in course.envelope.referrals():
        placer = placer_identifier(entry.resource)
        is_known = bool(placer and ("placer", placer) in course.known.keys) or course.sent_before(entry) is not None
        is_faulty = course.reading.faults_of(entry) or course.reading.reached(entry) & course.forbidden.keys()
        if not is_known and not is_faulty and "ifNoneExist" not in entry.request:
            yield entry


def _lacking(course: Course, entry: Entry, ehr: Ehr) -> list[Wanted]:
    """Nothing for a referral that is sent away whatever the patient's record says."""
    subject = find_subject(course.envelope, entry, course.known, course.site.public_url)
    if subject.fault is not None:
        return []
    wanted = list(_wanted(course, entry, subject, ehr))
    if not wanted:
        return []
    patient, day = course.patient(subject), course.incoming.at.astimezone(course.site.policy.zone).date()
    records = records_of(course, entry, subject, patient)
    decided = decide_entry(course.site, course.envelope, entry, subject, patient, records, day, open_elsewhere=False)
    return [] if decided.decision.disposition is Disposition.REJECTED else wanted


def _wanted(course: Course, entry: Entry, subject: Subject, ehr: Ehr) -> Iterator[Wanted]:
    """The records at its sender's EHR that a referral points at and that are not here."""
    references = [entry.resource["subject"].get("reference")] if subject.awaiting else []
    for address in outside(course.envelope, entry):
        if course.known.reference(names_of(address, entry, course.site.public_url)) is None:
            references.append(address)
    about = ehr.record(entry.resource["subject"].get("reference"), entry.full_url)
    for reference in references:
        record = ehr.record(reference, entry.full_url)
        if record is not None and record.type in TYPES:
            yield replace(record, about=about.id if about is not None else None)


def await_from_ehr(course: Course, decided: Decided, referral_id: str) -> tuple[Issue, ...]:
    """Writes down what is to be fetched for a referral, with the referral; what is to be said of that."""
    ehr = ehr_of(course.connection, course.incoming.client) if decided.awaiting else None
    if ehr is None:
        return ()
    wanted = {bounded(one.full_url): one for one in _wanted(course, decided.entry, decided.subject, ehr)}
    here = {row["name"] for row in fetches.of_referral(course.connection, referral_id)}
    for name, one in wanted.items():
        if name not in here:
            course.draft.add(tables.ehr_fetch, referral_id=referral_id, name=name, **_row(course, one, ehr))
    return tuple(islice((_remark(course, one, ehr, decided.entry) for one in wanted.values()), 1))


def _row(course: Course, wanted: Wanted, ehr: Ehr) -> dict[str, object]:
    """A Patient is fetched before the records that speak of it."""
    at, fault = course.incoming.at, course.visited.fault_of(wanted)
    was_asked = fault is not None and fault not in NOT_ASKED
    due = at + _AGAIN * (was_asked + (wanted.type != "Patient"))
    return {
        "type": wanted.type,
        "full_url": wanted.full_url,
        "about": wanted.about,
        "host": ehr.host,
        "due": None if fault in FOR_GOOD else instant(due),
        "attempts": 0,
        "until": instant(at + fetches.KEPT_ASKING),
        "tries": int(was_asked),
        "tried_at": instant(at) if was_asked else None,
        "fault": fault,
        "ended": "refused" if fault in FOR_GOOD else None,
    }


def _remark(course: Course, wanted: Wanted, ehr: Ehr, entry: Entry) -> Issue:
    fault = course.visited.fault_of(wanted)
    why = f": {WORDS[fault]}" if fault is not None else ""
    then = "It is asked by itself, and the referral is decided again with what it says."
    if fault in FOR_GOOD:
        then = "It is not asked again by itself; send the record."
    words = f"What this refers to is awaited from {ehr.host}{why}. {then}"
    return information("informational", "awaited-from-ehr", words, entry.path)


def as_collection(wanted: Wanted, text: bytes) -> bytes:
    """A record as it was read, its numbers with all their digits, under the name that its sender calls it by."""
    name = orjson.dumps(wanted.full_url)
    resource = text.removeprefix(b"\xef\xbb\xbf")
    return b'{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":%b,"resource":%b}]}' % (name, resource)


def is_of_another(record: Resource, wanted: Wanted) -> bool:
    """Whether a record surely speaks of another patient than the one it was read for."""
    theirs = record.get("subject") or record.get("patient") or {}
    patient = literal(theirs.get("reference"))
    is_patient = patient is not None and patient.type == "Patient"
    return bool(wanted.about and is_patient and patient is not None and patient.id != wanted.about)
