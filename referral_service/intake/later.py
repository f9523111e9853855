"""A referral whose patient, or a record it points at, was not here is decided again by itself when that arrives.

Looked for after the commit of either side, so that a referral and what it waits for that come at the same moment cannot
miss each other; ``reconsider_all`` at start-up finds what a process that died in between has left.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

import orjson

from referral_service.fhir.bundle import Entry, Resource
from referral_service.fhir.records import EVIDENCE
from referral_service.intake import changes
from referral_service.intake.applying import Moving, position_of, read_resource
from referral_service.intake.course import Course, begin
from referral_service.intake.draft import Draft
from referral_service.intake.reading import read
from referral_service.intake.replays import references
from referral_service.intake.site import Incoming, Site
from referral_service.intake.subject import awaited_identifier, find_subject
from referral_service.referral import Disposition
from referral_service.store import lookups, systems, tables
from referral_service.store.engine import UNAVAILABLE, Connection
from referral_service.store.lookups import referral_with_task
from referral_service.store.writes import Overtaken, bounded, overtaking
from referral_service.worklist import FINAL, machine

log = logging.getLogger("referral_service")
_AWAITED = EVIDENCE | {"Patient", "Binary"}
_TRIES = 5


def reconsider_new(site: Site, incoming: Incoming, draft: Draft) -> None:
    """Decides again what waited for the resources of a request that was just committed, and what it left waiting."""
    names = [row["name"] for row in draft.rows.get(tables.address, []) if row["type"] in _AWAITED]
    waiting: list[str] = []
    for row in draft.rows.get(tables.token, []):
        if row["param"] == "_awaits":
            waiting.append(row["owner"])
        if row["type"] == "Patient" and row["param"] == "identifier":
            names.append(awaited_identifier((row["system"], row["value"])))
    reconsider_waiting(site, incoming.client, names, incoming.request_id, incoming.at, waiting)


def reconsider_waiting(
    site: Site, client: str, names: Sequence[str], request_id: str, at: datetime, also: Sequence[str] = ()
) -> None:
    """Decides again what waits for what goes by one of ``names``, and the referrals ``also`` given by their ids."""
    waiting = list(also)
    if names:
        with site.store.asking() as connection:
            waiting += lookups.awaiting(connection, client, names)
    for referral_id in dict.fromkeys(waiting):
        _reconsider_or_leave(site, client, referral_id, request_id, at)


def reconsider_all(site: Site, at: datetime) -> None:
    """Every referral that waits, once, as a process starts."""
    with site.store.reading() as connection:
        waiting = lookups.all_awaiting(connection)
    for client, referral_id in waiting:
        _reconsider_or_leave(site, client, referral_id, "start", at)


def _reconsider_or_leave(site: Site, client: str, referral_id: str, request_id: str, at: datetime) -> None:
    """What was asked for is durable by now and is answered as such, whatever becomes of the referrals that waited."""
    for _ in range(_TRIES):
        try:
            return reconsider(site, client, referral_id, request_id, at)
        except Overtaken:
            continue
        except UNAVAILABLE:
            break
    log.error("reconsidering_left referral=%s", referral_id)
    return None


def reconsider(site: Site, client: str, referral_id: str, request_id: str, at: datetime) -> None:
    """Decides one waiting referral again, from the text received, if any of what it waits for can be found by now.

    One whose Task a human has ended stays as it is.
    """
    with site.store.writing() as connection, overtaking(connection):
        row, task = referral_with_task(connection, referral_id)
        awaited = lookups.awaited_by(connection, referral_id)
        if not awaited or task["status"] in FINAL:
            return
        body = lookups.received_text(connection, row["received_id"])
        system = systems.placer_system(connection, client)
        again = Incoming(client, "later", request_id, body, at, placer_system=system)
        course, entry = _reread(connection, site, again, row["path"])
        subject = find_subject(course.envelope, entry, course.known, site.public_url)
        patient = course.patient(subject)
        course.draft.received_id = row["received_id"]
        assign_as_before(course, connection, row["received_id"])
        course.draft.assigned[id(entry.resource)] = f"ServiceRequest/{referral_id}"
        course.assign_patient(entry, subject, f"Patient/{row['patient_id']}" if row["patient_id"] else None)
        taken_in = bool(orjson.loads(row["decision_input"])["taken_in"])
        moving = Moving(task, read_resource(task["content"]), position_of(task, row["status"]))
        decided = changes.decide_again(course, row, entry, subject, patient, moving, taken_in=taken_in)
        if {bounded(name) for name in decided.awaiting} == awaited:
            return
        if decided.decision.disposition is Disposition.REJECTED:
            return  # by a policy that is newer than the referral: what stands in a queue is not sent away unseen
        changes.write_again(connection, course.draft, decided, row, moving, machine())
        course.draft.write(connection)


def _reread(connection: Connection, site: Site, incoming: Incoming, path: str) -> tuple[Course, Entry]:
    course = begin(connection, site, incoming, read(incoming.body))
    return course, next(entry for entry in course.envelope.referrals() if entry.path == path)


def assign_as_before(course: Course, connection: Connection, received_id: str) -> None:
    by_place: dict[int, Resource] = {
        entry.position: entry.resource for entry in course.envelope.entries if entry.position is not None
    }
    for place, reference in enumerate(references(lookups.received_answers(connection, received_id))):
        if reference and place in by_place:
            course.draft.assigned[id(by_place[place])] = reference
