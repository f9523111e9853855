"""What would be decided, with nothing stored: for $preview, and for the command line without any store at all."""

from __future__ import annotations

from dataclasses import dataclass, replace

from referral_service.decide import refused
from referral_service.fhir.bundle import Entry
from referral_service.fhir.reader import placer_identifier
from referral_service.intake.course import Course, begin
from referral_service.intake.deciding import decide_entry, open_for
from referral_service.intake.evidence import records_of
from referral_service.intake.messages import as_meant
from referral_service.intake.reading import read
from referral_service.intake.refusals import no_referral, refusal
from referral_service.intake.site import Incoming, Site
from referral_service.intake.subject import find_subject
from referral_service.referral import Decision, Referral


@dataclass(frozen=True, slots=True)
class Previewed:
    """One referral as it would be decided.

    ``entry`` is where it stands, None for a whole that cannot be taken apart; ``referral`` what was read of it, None
    when it is refused. ``open_patients`` are the ids of the same patient's records that have an open referral of this
    sender, ``here`` the id of the referral that its placer identifier belongs to already.
    """

    decision: Decision
    entry: Entry | None = None
    referral: Referral | None = None
    open_patients: frozenset[str] = frozenset()
    here: str | None = None


def preview(site: Site, incoming: Incoming) -> list[Decision]:
    """The decision on each referral of a ServiceRequest or of a Bundle of any type; one ``refused`` when none."""
    return [one.decision for one in look_ahead(site, incoming)]


def look_ahead(site: Site, incoming: Incoming) -> list[Previewed]:
    """The same, with what it was decided from."""
    reading = as_meant(read(incoming.body), site.public_url)
    if reading.envelope is None:
        return [Previewed(refusal(site, incoming.body, reading.faults)) for _ in reading.referrals or (None,)]
    entries = reading.envelope.referrals()
    atomic = reading.envelope.bundle_type in ("transaction", "message")
    if atomic and reading.entry_faults:
        refused_whole = refusal(site, incoming.body, reading.faults)
        return [Previewed(refused_whole, entry) for entry in entries] or [Previewed(refused_whole)]
    if not entries:
        return [Previewed(refused([*reading.faults, no_referral()], site.policy))]
    with site.store.reading() as connection:
        course = begin(connection, site, incoming, reading)
        return [_previewed(course, entry) for entry in entries]


def _previewed(course: Course, entry: Entry) -> Previewed:
    site = course.site
    faults = course.reading.faults_of(entry)
    if faults:
        return Previewed(refusal(site, course.reading.text_of(entry, course.incoming.body), faults), entry)
    subject = find_subject(course.envelope, entry, course.known, site.public_url)
    if subject.fault is not None:
        text = course.reading.text_of(entry, course.incoming.body)
        return Previewed(refusal(site, text, [subject.fault]), entry)
    patient = course.patient(subject)
    placer = placer_identifier(entry.resource, course.incoming.placer_system)
    known = course.known.keys.get(("placer", placer)) if placer else None
    open_patients = open_for(subject, patient, course.known)
    decided = decide_entry(
        site,
        course.envelope,
        entry,
        subject,
        patient,
        records_of(course, entry, subject, patient),
        course.incoming.first_received.astimezone(site.policy.zone).date(),
        open_elsewhere=known is None and bool(open_patients),
        already_taken=course.incoming.taking is not None,
        taken_in=course.incoming.taking is not None,
        placer_system=course.incoming.placer_system,
    )
    return Previewed(
        replace(decided.decision, issues=(*decided.decision.issues, *course.remarks_of(entry))),
        entry,
        decided.given.referral,
        frozenset(open_patients),
        known.referral_id if known else None,
    )
