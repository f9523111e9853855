"""What one request is going to write, gathered before anything is written: all of it in one transaction or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import orjson

from referral_service.fhir.bundle import Entry, Envelope, Resource, identifiers
from referral_service.fhir.names import all_names, number, words
from referral_service.fhir.parse import dump
from referral_service.fhir.writer import Stamp, served
from referral_service.intake.auditing import add_event
from referral_service.intake.counting import count
from referral_service.intake.reading import leads
from referral_service.intake.site import Incoming, Site, new_id
from referral_service.intake.subject import names_of
from referral_service.issues import FaultKind
from referral_service.store import deliveries, files, tables
from referral_service.store.engine import Connection, Table
from referral_service.store.leases import ring
from referral_service.store.lookups import Known
from referral_service.store.sight import REFERS
from referral_service.store.writes import (
    Overtaken,
    Rows,
    bounded,
    follow_patient,
    forget_tokens,
    insert_all,
    point_key,
    replace_version,
    take_ledger,
)

AUTHORED_ONLY = frozenset({"Task", "AuditEvent", "HealthcareService", "Subscription"})
"""Types that this service writes itself; sent along in a Bundle they are read and kept in the text received."""

SUPPORTING = frozenset(
    {
        *("Patient", "RelatedPerson", "Practitioner", "PractitionerRole", "Organization", "Location", "Condition"),
        *("Observation", "DiagnosticReport", "Procedure", "AllergyIntolerance", "FamilyMemberHistory"),
        *("MedicationStatement", "MedicationRequest", "DocumentReference", "Binary", "QuestionnaireResponse"),
        *("Encounter", "Communication", "Appointment", "Provenance", "MessageHeader"),
    }
)
"""Types that are stored beside referrals as their senders sent them."""


@dataclass(frozen=True, slots=True)
class Replacement:
    table: Table
    id: str
    expected_version: int
    kind: str
    values: Mapping[str, Any]


def _nothing_stored(_: str) -> Resource | None:
    return None


@dataclass(slots=True)
class Draft:
    """The rows and replacements of one request, and which of our references each of its resources gets.

    ``made`` are the references first given out here, ``stored`` those of the supporting resources that it writes,
    ``tasks`` the Task ids of its referrals,
    ``moved_keys`` the keys (kind, value, finished referral, new row) that speak of a new referral from now on;
    ``taken`` the state and referral that the row of what is taken in moves to, and what is said of that;
    ``stored_resource`` gives a supporting resource that was here before by our reference; ``beyond`` are our references
    to referrals and Tasks that the sender sees without having sent them.
    For the audit trail: ``patients`` are the ids of those whom the rows do not tell of, ``answered`` what is given back
    beside what is written, ``fault`` why the whole request is not taken.
    """

    site: Site
    incoming: Incoming
    envelope: Envelope
    known: Known
    received_id: str = field(default_factory=new_id)
    rows: Rows = field(default_factory=dict)
    replacements: list[Replacement] = field(default_factory=list)
    assigned: dict[int, str] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)
    stored: set[str] = field(default_factory=set)
    tasks: dict[str, str] = field(default_factory=dict)
    moved_keys: list[tuple[str, str, str, dict[str, Any]]] = field(default_factory=list)
    taken: tuple[str, str | None, str] | None = None
    stored_resource: Callable[[str], Resource | None] = _nothing_stored
    beyond: frozenset[str] = frozenset()
    patients: set[str] = field(default_factory=set)
    answered: list[str] = field(default_factory=list)
    fault: FaultKind | None = None

    def add(self, table: Table, **values: Any) -> None:
        self.rows.setdefault(table, []).append({"client": self.incoming.client, **values})

    def add_received(self, result: str, *, keep_body: bool = True, answers: Sequence[Any] | None = None) -> None:
        self.add(
            tables.received,
            id=self.received_id,
            request_id=bounded(self.incoming.request_id),
            door=self.incoming.door,
            result=result,
            at=self.incoming.instant,
            body=self.incoming.body if keep_body else None,
            answers=orjson.dumps(answers).decode() if answers is not None else None,
        )

    def add_tokens(self, kind: str, owner: str, pairs: Mapping[str, list[tuple[str, str]]]) -> None:
        for param, listed in pairs.items():
            for system, value in dict.fromkeys((bounded(system), bounded(value)) for system, value in listed):
                self.add(tables.token, owner=owner, type=kind, param=param, system=system, value=value)

    def assign(self, entry: Entry, reference: str) -> None:
        """Every name under which the sender may speak of the entry later leads to our reference."""
        self.assigned[id(entry.resource)] = reference
        kind, _, identity = reference.partition("/")
        for name in entry.addresses():
            if name not in self.known.addresses:
                self.known.name(name, reference)
                self.add(tables.address, name=bounded(name), type=kind, owner=identity)

    def unname(self, names: set[str]) -> None:
        """Leaves names free under which the sender shall not find anything."""
        gone = {bounded(name) for name in names}
        self.rows[tables.address] = [row for row in self.rows.get(tables.address, []) if row["name"] not in gone]

    def refers(self, resource: Resource) -> dict[str, list[tuple[str, str]]]:
        """The tokens that say which records of ours a resource, as it is served, refers to.

        Whom a record speaks of stands in a token of its own.
        """
        ours = {*self.assigned.values(), *self.known.addresses.values(), *self.beyond}
        found = [one for one in chain(*leads(resource)) if one in ours and not one.startswith("Patient/")]
        return {REFERS: [("", one.partition("/")[2]) for one in found]}

    def rewriter(self, source: Entry) -> Callable[[str], str | None]:
        """How the references of one resource read when it is served."""

        def rewrite(reference: str) -> str | None:
            return None if reference.startswith("#") else self.reference_of({"reference": reference}, source)

        return rewrite

    def reference_of(self, reference: Resource, source: Entry) -> str | None:
        """Our reference for what a Reference element of ``source`` leads to, in the request or sent before."""
        target = self.envelope.resolve(reference, source)
        if target is not None:
            return self.assigned.get(id(target.resource))
        address = reference.get("reference")
        if not isinstance(address, str):
            return None
        return self.known.reference(names_of(address, source, self.site.public_url))

    def served_text(self, entry: Entry, stamp: Stamp, **labels: Any) -> tuple[Resource, str]:
        resource = served(entry.resource, stamp, self.rewriter(entry), **labels)
        return resource, dump(resource).decode()

    def write(self, connection: Connection, *, is_all: bool = False) -> None:
        """Writes everything; ``is_all`` says that its caller writes nothing else in the transaction.

        Raises :class:`Overtaken` when a version that was read has been replaced meanwhile.
        """
        forget_tokens(connection, [change.id for change in self.replacements if change.table is not tables.task])
        add_event(self, connection)
        count(self, connection)
        self._keep_files(connection)
        deliveries.note(self.rows, self._changes())
        is_all = is_all and not (self.replacements or self.moved_keys or self.taken)
        insert_all(connection, self.rows, is_all=is_all)  # first the text received, which all else refers to
        for change in sorted(self.replacements, key=lambda one: one.id):
            kept = replace_version(
                connection, change.table, change.id, change.expected_version, change.values, change.kind
            )
            if not kept:
                raise Overtaken
            if change.kind == "Patient":
                follow_patient(connection, change.id, change.values["birth_date"] or "")
        for moved in self.moved_keys:
            point_key(connection, self.incoming.client, *moved)
        if self.taken is not None and self.incoming.taking is not None:
            state, referral_id, notice = self.taken
            taking = self.incoming.taking
            take_ledger(connection, taking.received_id, taking.position, state, referral_id, notice)
        if self.rows.keys() & {tables.outbox, tables.notice, tables.scene, tables.ehr_fetch, tables.ehr_file}:
            ring(connection)

    def _keep_files(self, connection: Connection) -> None:
        """What was fetched for a record is seen with its new version too, as long as that names it."""
        changed = {change.id: change for change in self.replacements if change.table is not tables.task}
        here = {(row["owner"], row["param"], row["value"]) for row in self.rows.get(tables.token, [])}
        for (owner, address), row in files.of_owners(connection, changed).items():
            change, binary_id = changed[owner], row["binary_id"]
            is_named = binary_id is not None and address in change.values.get("content", "")
            if is_named and (owner, REFERS, binary_id) not in here:
                here.add((owner, REFERS, binary_id))
                self.add_tokens(change.kind, owner, {REFERS: [("", binary_id)]})

    def _changes(self) -> list[dict[str, Any]]:
        """The new versions of referrals and Tasks, of which others are told."""
        told_of = {"ServiceRequest": tables.service_request, "Task": tables.task}
        new = [(kind, row["id"], 1) for kind, table in told_of.items() for row in self.rows.get(table, ())]
        new += [(one.kind, one.id, one.expected_version + 1) for one in self.replacements if one.kind in told_of]
        facts = {"client": self.incoming.client, "at": self.incoming.instant}
        return [{**facts, "type": kind, "resource_id": one, "version": version} for kind, one, version in sorted(new)]


def patient_tokens(resource: Resource) -> dict[str, list[tuple[str, str]]]:
    """What a Patient is searched by; names in lower case, for string search ignores it."""
    names = resource.get("name", [])
    return {
        "identifier": identifier_tokens(resource),
        "family": [("", name["family"].lower()) for name in names if "family" in name],
        "given": [("", given.lower()) for name in names for given in name.get("given", []) if given],
        "_word": [("", word) for word in words(*all_names(resource))],
        "_number": number_tokens(resource),
    }


def identifier_tokens(resource: Resource) -> list[tuple[str, str]]:
    return [(item.get("system", ""), item["value"]) for item in identifiers(resource)]


def number_tokens(resource: Resource) -> list[tuple[str, str]]:
    """Identifiers as somebody would type them, whatever their system."""
    return [("", bare) for item in identifiers(resource) if (bare := number(item["value"]))]
