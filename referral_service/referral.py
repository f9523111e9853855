"""The facts a decision is made from and the decision itself: frozen, free of FHIR, HTTP and SQL.

Everything here is plain data, so that the same :class:`DecisionInput` gives the same :class:`Decision` byte for
byte, and both can be stored and read again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from referral_service.issues import Issue


class Disposition(StrEnum):
    REFUSED = "refused"
    REJECTED = "rejected"
    REVIEW = "review"
    ROUTED = "routed"


class Queue(StrEnum):
    ADULT = "adult-movement-disorders"
    PEDIATRIC = "pediatric-neuromotor"
    REVIEW = "intake-review"


class Priority(StrEnum):
    """In rising order (https://hl7.org/fhir/R4/valueset-request-priority.html)."""

    ROUTINE = "routine"
    URGENT = "urgent"
    ASAP = "asap"
    STAT = "stat"

    @property
    def rank(self) -> int:
        return list(Priority).index(self)


class Certainty(StrEnum):
    CONFIRMED = "confirmed"
    SUSPECTED = "suspected"


class Assertion(StrEnum):
    """What is said of a finding, in the terms of ConText (Harkema et al. 2009, doi:10.1016/j.jbi.2009.05.002)."""

    AFFIRMED = "affirmed"
    SUSPECTED = "suspected"
    NEGATED = "negated"
    FAMILY = "family"
    HISTORICAL = "historical"

    @property
    def is_current(self) -> bool:
        """Only the patient's own present findings can yield a code."""
        return self in (Assertion.AFFIRMED, Assertion.SUSPECTED)


class Flag(StrEnum):
    AGE_UNDETERMINED = "age-undetermined"
    INDICATION_UNDETERMINED = "indication-undetermined"
    DECEASED = "deceased"
    CODE_CONTESTABLE = "code-contestable"
    CODE_CONFLICT = "code-conflict"
    POSSIBLE_DRUG_INDUCED = "possible-drug-induced"
    RED_FLAG = "red-flag"
    AGES_OUT_BEFORE_DUE = "ages-out-before-due"
    POSSIBLE_DUPLICATE = "possible-duplicate"


class AlertKind(StrEnum):
    """Why a duty contact is told of a referral."""

    RED_FLAG = "red-flag"
    STAT = "stat"
    """The sender itself asks for ``stat``."""
    REMINDER = "reminder"
    """The sender was asked for more and has not answered: it is to be reminded."""
    ESCALATION = "escalation"
    """And still has not: a lead is to decide."""

    @property
    def words(self) -> str:
        return _ALERT_WORDS[self]

    @property
    def is_of_hold(self) -> bool:
        """Raised because a day has come, not because something was received."""
        return self in (AlertKind.REMINDER, AlertKind.ESCALATION)


_ALERT_WORDS = {
    AlertKind.RED_FLAG: "Red flag",
    AlertKind.STAT: "Sent as stat",
    AlertKind.REMINDER: "Sender to be reminded",
    AlertKind.ESCALATION: "Not answered, for a lead",
}


class Place(StrEnum):
    """Where in a request a fact stands; it decides how far the fact can carry the referral."""

    REASON = "reason"
    """reasonCode, and what reasonReference points at."""
    REQUEST = "request"
    """code and orderDetail: what is asked for, which may name the condition as well."""
    REMARK = "remark"
    """note and patientInstruction."""
    SITE = "site"
    """bodySite of the referral or of a Condition: narrows a code, never makes one; a Condition's only its own."""
    MEDICATION = "medication"
    """MedicationStatement and MedicationRequest of the subject."""
    FAMILY = "family"
    """FamilyMemberHistory: never the patient."""
    BACKGROUND = "background"
    """supportingInfo and the subject's own Conditions, answers and documents in the same request."""


@dataclass(frozen=True, slots=True)
class Coding:
    """A code in its system; never compared by the code alone."""

    system: str
    code: str
    display: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """One coding or one text, at one element of the request.

    ``expression`` is the FHIRPath of the coding, or of the string when the fact is text. ``concept`` is the FHIRPath
    of the element that holds it, the same for the codings, displays and text of one CodeableConcept. ``stance`` is
    what the record itself says (a refuted Condition is negated), and overrides nothing that the words negate.
    """

    expression: str
    concept: str
    place: Place
    coding: Coding | None = None
    text: str | None = None
    stance: Assertion | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """A finding with its place. ``start`` and ``end`` (half-open, code points) only when it was found in text."""

    expression: str
    finding: Coding
    assertion: Assertion
    rule: str
    start: int | None = None
    end: int | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class CodePair:
    """An ICD-10-CM code and the WHO ICD-10 code it rolls up to."""

    cm: Coding
    who: Coding


class WhyNot(StrEnum):
    """Why a code that could be defended was not chosen."""

    CLASSIFICATIONS_DIFFER = "classifications-differ"
    WITHOUT_CAUSE = "without-cause"
    HEDGED = "hedged"
    LESS_SPECIFIC = "less-specific"
    LATER_IN_ORDER = "later-in-order"


@dataclass(frozen=True, slots=True)
class Alternative:
    code: CodePair
    why: WhyNot


@dataclass(frozen=True, slots=True)
class AgeInterval:
    """Whole years on a day; ``minimum`` and ``maximum`` differ when the birth date is partial."""

    on: date
    minimum: int
    maximum: int


@dataclass(frozen=True, slots=True)
class Referral:
    """What the ServiceRequest says, as read from the wire.

    ``wishes`` name what a coordinator would wish to find and did not, ``completeness`` is the share that is there.
    """

    status: str
    intent: str
    do_not_perform: bool
    priority: Priority
    facts: tuple[Fact, ...]
    language: str | None = None
    completeness: float = 1.0
    wishes: tuple[Issue, ...] = ()


@dataclass(frozen=True, slots=True)
class PatientFacts:
    """What is known of the patient that the subject points at; ``birth_date`` as sent (YYYY, YYYY-MM, YYYY-MM-DD)."""

    birth_date: str | None
    deceased: bool


@dataclass(frozen=True, slots=True)
class DecisionInput:
    """All that a decision depends on, apart from the policy and the package version.

    ``patient`` is None when the subject cannot be found. ``received_on`` is the day of first receipt in the site's
    zone, also when the referral is decided again later. ``open_elsewhere`` tells that the same client has another
    open referral for the same patient identifier; ``already_taken`` that the referral stands in a queue already, so
    that nothing it says now can send it away unseen; ``taken_in`` that a human has taken it in, so that the machine
    holds it for a human and sends it nowhere.
    """

    referral: Referral
    patient: PatientFacts | None
    received_on: date
    open_elsewhere: bool = False
    already_taken: bool = False
    taken_in: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    disposition: Disposition
    queue: Queue | None
    code: CodePair | None
    alternatives: tuple[Alternative, ...]
    certainty: Certainty | None
    flags: tuple[Flag, ...]
    age: AgeInterval | None
    requested_priority: Priority
    assessed_priority: Priority
    evidence: tuple[Evidence, ...]
    policy: str
    issues: tuple[Issue, ...]
