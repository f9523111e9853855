"""One request under way: what is known before, what will be written, and what has been answered so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from referral_service.fhir.bundle import Entry, Envelope, Resource
from referral_service.fhir.canonical import canonical_hash, combined_hash
from referral_service.fhir.reader import placer_identifier
from referral_service.intake import supporting
from referral_service.intake.draft import SUPPORTING, Draft
from referral_service.intake.reading import Reading, references
from referral_service.intake.referrals import patient_of
from referral_service.intake.site import Answer, Incoming, Site, type_and_id
from referral_service.intake.subject import Subject, identifier_pairs, own_address
from referral_service.issues import Issue
from referral_service.store import lookups
from referral_service.store.engine import Connection
from referral_service.store.lookups import Known, Pair

Work = Callable[[], Answer]
"""What is left to do for an entry once every entry has its id, for a reference may point at one that comes later."""


@dataclass(slots=True)
class Course:
    """What is under way for one request.

    ``answers`` and ``work`` are by place in the Bundle (0 for a bare resource); ``ordinals`` number its referrals.
    ``conditional`` are the references that conditional URLs were found to mean, ``known_referrals`` the places of
    referrals that are here already, ``made_here`` the places of new ones by id, ``replayed_from`` the requests in
    which replayed referrals first came.
    """

    site: Site
    incoming: Incoming
    reading: Reading
    connection: Connection
    envelope: Envelope
    draft: Draft
    known: Known
    answers: dict[int, Answer] = field(default_factory=dict)
    work: dict[int, Work] = field(default_factory=dict)
    ordinals: dict[int, int] = field(default_factory=dict)
    conditional: dict[int, str] = field(default_factory=dict)
    known_referrals: set[int] = field(default_factory=set)
    made_here: dict[str, int] = field(default_factory=dict)
    replayed_from: set[str] = field(default_factory=set)

    def remarks_of(self, entry: Entry) -> tuple[Issue, ...]:
        if entry.position is None:
            return self.reading.remarks
        return tuple(issue for issue in self.reading.remarks if issue.expression.startswith(f"{entry.path}."))

    def referral_answers(self) -> list[Answer]:
        return [self.answers[place] for place in sorted(self.ordinals)]

    def sound_entries(self) -> Iterator[Entry]:
        return sound_entries(self.reading)

    def request_hash(self) -> str:
        """The canonical hash of all referrals of the request, in order."""
        sound = [one for one in self.envelope.referrals() if one.position not in self.reading.entry_faults]
        return combined_hash([canonical_hash(self.envelope, one) for one in sound])

    def patient(self, subject: Subject) -> Resource | None:
        """The subject's Patient resource, from the request or from the store."""
        ids = [type_and_id(subject.stored)[1]] if subject.stored else []
        return patient_of(subject, lookups.contents(self.connection, "Patient", ids) if ids else {})

    def assign_patient(self, subject: Subject) -> None:
        """A contained Patient is stored beside its referral as well, for Tasks and searches to point at."""
        entry = subject.entry
        if entry is None or entry.container is None or id(entry.resource) in self.draft.assigned:
            return
        supporting.assign(self.draft, entry)
        reference = self.draft.assigned[id(entry.resource)]
        for pair in identifier_pairs(entry.resource):
            self.known.patients.setdefault(pair, []).append(type_and_id(reference)[1])
        stored = lookups.stored_rows(self.connection, {reference}) if self.is_stored(reference) else {}
        supporting.store(self.draft, entry, stored)

    def is_stored(self, reference: str) -> bool:
        """Whether a reference was given out before this request."""
        return reference in self.stored_before

    @property
    def stored_before(self) -> set[str]:
        ids = {f"Patient/{one}" for listed in self.known.patients.values() for one in listed}
        return ids | set(self.known.addresses.values()) | set(self.conditional.values())

    def assign_supporting(self) -> None:
        for entry in self.sound_entries():
            if entry.type in SUPPORTING and id(entry.resource) not in self.draft.assigned:
                supporting.assign(self.draft, entry)

    def do_the_work(self) -> None:
        for place, work in sorted(self.work.items()):
            self.answers[place] = work()


def begin(connection: Connection, site: Site, incoming: Incoming, reading: Reading) -> Course:
    """Looks up, in one query, all that the request speaks of."""
    assert reading.envelope is not None
    keys: list[Pair] = [("idempotency", incoming.idempotency_key)] if incoming.idempotency_key else []
    sound = [entry for entry in reading.envelope.referrals() if entry.position not in reading.entry_faults]
    keys += [("placer", placer) for entry in sound if (placer := placer_identifier(entry.resource))]
    known = lookups.known(
        connection,
        incoming.client,
        keys=list(dict.fromkeys(keys)),
        addresses=set(_addresses(reading, site.public_url)),
        identifiers=set(_identifiers(reading)),
    )
    draft = Draft(site, incoming, reading.envelope, known)
    return Course(site, incoming, reading, connection, reading.envelope, draft, known)


def sound_entries(reading: Reading) -> Iterator[Entry]:
    assert reading.envelope is not None
    entries = (entry for entry in reading.envelope.entries if entry.position not in reading.entry_faults)
    return (entry for entry in entries if entry.method in (None, "POST", "PUT"))


def _addresses(reading: Reading, public_url: str) -> Iterator[str]:
    relative = partial(own_address, public_url=public_url)
    for entry in sound_entries(reading):
        yield from entry.addresses()
        yield from (relative(text) for text in references(entry.resource) if not text.startswith("#"))


def _identifiers(reading: Reading) -> Iterator[Pair]:
    for entry in sound_entries(reading):
        for one in (entry, *entry.contained()):
            if one.type == "Patient":
                yield from identifier_pairs(one.resource)
        if entry.type == "ServiceRequest":
            yield from identifier_pairs(entry.resource["subject"])
