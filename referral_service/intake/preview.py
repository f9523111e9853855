"""What would be decided, with nothing stored: for $preview, and for the command line without any store at all."""

from __future__ import annotations

from dataclasses import replace

from referral_service.decide import refused
from referral_service.fhir.bundle import Entry
from referral_service.fhir.reader import placer_identifier
from referral_service.intake.course import Course, begin
from referral_service.intake.deciding import decide_entry, has_open_referral
from referral_service.intake.evidence import records_of
from referral_service.intake.messages import as_meant
from referral_service.intake.reading import read
from referral_service.intake.refusals import no_referral, refusal
from referral_service.intake.site import Incoming, Site
from referral_service.intake.subject import find_subject
from referral_service.referral import Decision


def preview(site: Site, incoming: Incoming) -> list[Decision]:
    """The decision on each referral of a ServiceRequest or of a Bundle of any type; one ``refused`` when none."""
    reading = as_meant(read(incoming.body), site.public_url)
    if reading.envelope is None:
        return [refusal(site, incoming.body, reading.faults) for _ in reading.referrals or (None,)]
    entries = reading.envelope.referrals()
    atomic = reading.envelope.bundle_type in ("transaction", "message")
    if atomic and reading.entry_faults:
        refused_whole = refusal(site, incoming.body, reading.faults)
        return [refused_whole for _ in entries] or [refused_whole]
    if not entries:
        return [refused([*reading.faults, no_referral()], site.policy)]
    with site.store.reading() as connection:
        course = begin(connection, site, incoming, reading)
        return [_decision(course, entry) for entry in entries]


def _decision(course: Course, entry: Entry) -> Decision:
    site = course.site
    faults = course.reading.faults_of(entry)
    if faults:
        return refusal(site, course.incoming.body, faults)
    subject = find_subject(course.envelope, entry, course.known, site.public_url)
    if subject.fault is not None:
        return refusal(site, course.incoming.body, [subject.fault])
    patient = course.patient(subject)
    is_here = ("placer", placer_identifier(entry.resource, course.incoming.placer_system)) in course.known.keys
    decided = decide_entry(
        site,
        course.envelope,
        entry,
        subject,
        patient,
        records_of(course, entry, subject, patient),
        course.incoming.first_received.astimezone(site.policy.zone).date(),
        open_elsewhere=not is_here and has_open_referral(subject, patient, course.known),
        already_taken=course.incoming.taking is not None,
        taken_in=course.incoming.taking is not None,
        placer_system=course.incoming.placer_system,
    )
    return replace(decided.decision, issues=(*decided.decision.issues, *course.remarks_of(entry)))
