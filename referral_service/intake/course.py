"""One request under way: what is known before, what will be written, and what has been answered so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain

import orjson

from referral_service.ehr.reading import Visit
from referral_service.fhir.bundle import Entry, Envelope, Resource
from referral_service.fhir.canonical import canonical_hash, combined_hash
from referral_service.fhir.reader import placer_identifier
from referral_service.intake import supporting
from referral_service.intake.deciding import located, patient_of
from referral_service.intake.draft import SUPPORTING, Draft
from referral_service.intake.messages import asked
from referral_service.intake.permits import forbidden_entries
from referral_service.intake.reading import Reading, leads
from referral_service.intake.site import MESSAGE_DOOR, Answer, Incoming, Site, is_failed, type_and_id
from referral_service.intake.subject import Subject, identifier_pairs, names_of
from referral_service.issues import Issue
from referral_service.store import lookups
from referral_service.store.engine import Connection
from referral_service.store.lookups import Known, Pair
from referral_service.store.sight import Sight, seen

Work = Callable[[], Answer]
"""What is left to do for an entry once every entry has its id, for a reference may point at one that comes later."""


@dataclass(slots=True)
class Course:
    """What is under way for one request.

    ``answers`` and ``work`` are by place in the Bundle (0 for a bare resource); ``ordinals`` number its referrals.
    ``conditional`` are the references that conditional URLs were found to mean, ``known_referrals`` the places of
    referrals that are here already, ``made_here`` the places of new ones by id, ``replayed_from`` the requests in
    which replayed referrals first came; ``contained`` the subjects' contained Patients by the place of the referral;
    ``changed_here`` the ids of referrals that an entry updates or cancels, ``forbidden`` the answers by place on
    entries that the sender may not send; ``visited`` what the sender's EHR said before the transaction began.
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
    contained: dict[int, Entry] = field(default_factory=dict)
    changed_here: set[str] = field(default_factory=set)
    forbidden: dict[int, Answer] = field(default_factory=dict)
    visited: Visit = field(default_factory=Visit)

    def remarks_of(self, entry: Entry) -> tuple[Issue, ...]:
        if entry.position is None:
            return self.reading.remarks
        here = f"Bundle.entry[{entry.position}]."
        return tuple(issue for issue in self.reading.remarks if issue.expression.startswith(here))

    def sent_before(self, entry: Entry) -> str | None:
        """The stored referral that an entry speaks of, by its sender's name for it or a conditional URL."""
        for reference in (self.conditional.get(entry.position or 0), self.known.reference(entry.addresses())):
            kind, identity = type_and_id(reference or "")
            if kind == "ServiceRequest":
                return identity
        return None

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

    def assign_patient(self, referral: Entry, subject: Subject, known_as: str | None = None) -> None:
        """Gives the subject's contained Patient its id; it is stored when its referral is.

        ``known_as`` is the reference under which the same Patient is here already, should that be sure.
        """
        entry = subject.entry
        if entry is None or entry.container is None or id(entry.resource) in self.draft.assigned:
            return
        if known_as is not None:
            self.draft.assign(entry, known_as)
        else:
            supporting.assign(self.draft, entry)
        self.contained[referral.position or 0] = entry
        identity = type_and_id(self.draft.assigned[id(entry.resource)])[1]
        for pair in identifier_pairs(entry.resource):
            self.known.patients.setdefault(pair, []).append(identity)

    @property
    def request_keys(self) -> list[Pair]:
        return request_keys(self.incoming, self.reading)

    @property
    def known_resources(self) -> set[str]:
        """The references of this request's supporting resources that were given out before it."""
        assigned = {one for one in self.draft.assigned.values() if not one.startswith("ServiceRequest/")}
        return assigned - self.draft.made

    def assign_supporting(self) -> None:
        """What was answered with a fault gets no id, and the names it came under stay free."""
        for entry in self.sound_entries():
            if is_failed(self.answers.get(entry.position or 0)):
                continue
            if entry.type in SUPPORTING and id(entry.resource) not in self.draft.assigned:
                supporting.assign(self.draft, entry)

    def do_the_work(self) -> None:
        for place, work in sorted(self.work.items()):
            self.answer(place, work())

    def answer(self, place: int, answer: Answer) -> None:
        """Says what became of the referral at a place; what the decision says of it is said of its entry."""
        entry = self.envelope.referrals()[self.ordinals[place]]
        self.answers[place] = replace(answer, issues=located(answer.issues, entry))


def begin(connection: Connection, site: Site, incoming: Incoming, reading: Reading) -> Course:
    """Looks up, in one query, all that the request speaks of."""
    assert reading.envelope is not None
    keys = request_keys(incoming, reading)
    sound = [entry for entry in reading.envelope.referrals() if entry.position not in reading.entry_faults]
    keys += [
        ("placer", placer) for entry in sound if (placer := placer_identifier(entry.resource, incoming.placer_system))
    ]
    addresses = set(_addresses(reading, site.public_url))
    known = lookups.known(
        connection,
        incoming.client,
        keys=list(dict.fromkeys(keys)),
        addresses=addresses,
        identifiers=set(_identifiers(reading)),
    )
    draft = Draft(
        site,
        incoming,
        reading.envelope,
        known,
        stored_resource=lambda one: _stored(connection, one),
        beyond=frozenset(_beyond(connection, incoming, addresses - known.addresses.keys())),
    )
    forbidden = forbidden_entries(reading, incoming)
    return Course(site, incoming, reading, connection, reading.envelope, draft, known, forbidden=forbidden)


def request_keys(incoming: Incoming, reading: Reading) -> list[Pair]:
    """By what the whole request is recognised when it comes again, in the order in which that is looked up."""
    keys: list[Pair] = [("idempotency", incoming.idempotency_key)] if incoming.idempotency_key else []
    message = asked(reading).key if incoming.door == MESSAGE_DOOR else None
    return [*keys, *([("message", message)] if message else [])]


def _beyond(connection: Connection, incoming: Incoming, names: set[str]) -> Iterator[str]:
    """References to Tasks, which have no other name, and to referrals that the sender only works on."""
    sight = Sight(incoming.client, incoming.queues)
    for name in names:
        kind, identity = type_and_id(name)
        worked_on = kind == "Task" or (kind == "ServiceRequest" and bool(incoming.queues))
        if worked_on and seen(connection, sight, kind, identity) is not None:
            yield name


def _stored(connection: Connection, reference: str) -> Resource | None:
    kind, identity = type_and_id(reference)
    text = lookups.contents(connection, kind, [identity]).get(identity)
    return dict(orjson.loads(text)) if text else None


def sound_entries(reading: Reading) -> Iterator[Entry]:
    assert reading.envelope is not None
    entries = (entry for entry in reading.envelope.entries if entry.position not in reading.entry_faults)
    return (entry for entry in entries if entry.method in (None, "POST", "PUT"))


def _addresses(reading: Reading, public_url: str) -> Iterator[str]:
    for entry in sound_entries(reading):
        yield from entry.addresses()
        for text in chain(*leads(entry.resource)):
            if not text.startswith("#"):
                yield from names_of(text, entry, public_url)


def _identifiers(reading: Reading) -> Iterator[Pair]:
    for entry in sound_entries(reading):
        for one in (entry, *entry.contained()):
            if one.type == "Patient":
                yield from identifier_pairs(one.resource)
        if entry.type == "ServiceRequest":
            yield from identifier_pairs(entry.resource["subject"])
