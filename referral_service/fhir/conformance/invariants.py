"""Constraints of R4 as plain predicates, keyed by the type that states them and their key.

Held here are those of the data types and of the types that the service stores, where a few words of Python say the
same as the FHIRPath in the table. ``table.Constraint`` has them all; what is neither here nor in ``ELSEWHERE`` is
left to an evaluator of FHIRPath (``uncovered``). https://hl7.org/fhir/R4/conformance-rules.html#constraints
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

from referral_service.fhir.conformance import table
from referral_service.fhir.conformance.scope import Object, Scope
from referral_service.fhir.conformance.temporal import surely_after
from referral_service.fhir.parse import Number
from referral_service.issues import Severity

Holds = Callable[[Object], bool]
Rule = Callable[[Object, str, Scope], None]

UCUM = "http://unitsofmeasure.org"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"


def has(value: Object, *names: str) -> bool:
    """Whether any of the elements exists, also when it has only extensions."""
    return any(name in value or "_" + name in value for name in names)


def has_choice(value: Object, stem: str) -> bool:
    """Whether a choice exists under any of its names; the stem is followed by the type, in upper case."""
    size = len(stem)
    bare = (name.removeprefix("_") for name in value)
    return any(name.startswith(stem) and name[size : size + 1].isupper() for name in bare)


def objects(value: Object, name: str) -> list[Object]:
    found = value.get(name)
    return [each for each in found if each.__class__ is dict] if found.__class__ is list else []


def texts(value: Object, name: str) -> list[str]:
    found = value.get(name)
    return [each for each in found if each.__class__ is str] if found.__class__ is list else []


def codes(value: Object, name: str, system: str) -> set[str]:
    """The codes of one system in a CodeableConcept."""
    concept = value.get(name)
    codings = objects(concept, "coding") if concept.__class__ is dict else []
    found = (each.get("code") for each in codings if each.get("system") == system)
    return {code for code in found if code.__class__ is str}


def decimal(value: Any) -> Decimal | None:
    if value.__class__ is int:
        return Decimal(value)
    try:
        return Decimal(value.literal) if isinstance(value, Number) else None
    except InvalidOperation:
        return None


def at_least_zero(value: Object, name: str) -> bool:
    number = decimal(value.get(name))
    return number is None or not number < 0


def one_of(*names: str) -> Holds:
    return lambda value: has(value, *names)


def not_both(first: str, second: str) -> Holds:
    return lambda value: not (has(value, first) and has(value, second))


def exactly_one(first: str, second: str) -> Holds:
    return lambda value: has(value, first) != has(value, second)


def needs(first: str, second: str) -> Holds:
    """Where there is the first, there is the second."""
    return lambda value: not has(value, first) or has(value, second)


def in_ucum(value: Object) -> bool:
    return value.get("system") == UCUM if has(value, "system") else True


def has_unit_code(value: Object) -> bool:
    return (has(value, "code") or not has(value, "value")) and in_ucum(value)


def is_age(value: Object) -> bool:
    number = decimal(value.get("value"))
    return has_unit_code(value) and (number is None or number > 0)


def is_count(value: Object) -> bool:
    number = value.get("value")
    whole = "." not in number.literal if isinstance(number, Number) else True
    return has_unit_code(value) and (value.get("code") == "1" if has(value, "code") else True) and whole


def is_duration(value: Object) -> bool:
    return not has(value, "code") or (value.get("system") == UCUM and has(value, "value"))


def is_ratio(value: Object) -> bool:
    both = has(value, "numerator") == has(value, "denominator")
    return both and has(value, "numerator", "extension")


def is_range(value: Object) -> bool:
    """Compared only where both ends are in the same unit."""
    low, high = value.get("low"), value.get("high")
    if low.__class__ is not dict or high.__class__ is not dict:
        return True
    if any(low.get(name) != high.get(name) for name in ("system", "code", "unit")):
        return True
    least, most = decimal(low.get("value")), decimal(high.get("value"))
    return least is None or most is None or least <= most


def offset_has_when(value: Object) -> bool:
    when = texts(value, "when")
    return not has(value, "offset") or (bool(when) and not {"C", "CM", "CD", "CV"} & set(when))


def trigger_is_whole(value: Object) -> bool:
    kind = value.get("type")
    named = has(value, "name") if kind == "named-event" else True
    timed = has_choice(value, "timing") if kind == "periodic" else True
    return named and timed and (has(value, "data") if isinstance(kind, str) and kind.startswith("data-") else True)


def allergy_error(value: Object) -> bool:
    return "entered-in-error" in codes(value, "verificationStatus", TERMINOLOGY + "allergyintolerance-verification")


def condition_error(value: Object) -> bool:
    return "entered-in-error" in codes(value, "verificationStatus", TERMINOLOGY + "condition-ver-status")


def abatement_fits(value: Object) -> bool:
    ended = codes(value, "clinicalStatus", TERMINOLOGY + "condition-clinical") & {"resolved", "remission", "inactive"}
    return not has_choice(value, "abatement") or bool(ended)


def problem_has_status(value: Object) -> bool:
    coded = (each for category in objects(value, "category") for each in objects(category, "coding"))
    on_list = any(each.get("code") == "problem-list-item" for each in coded)
    return has(value, "clinicalStatus") or condition_error(value) or not on_list


def appointment_is_timed(value: Object) -> bool:
    timed = has(value, "start") and has(value, "end")
    return timed or value.get("status") in ("proposed", "cancelled", "waitlist")


def cancelation_fits(value: Object) -> bool:
    return not has(value, "cancelationReason") or value.get("status") in ("noshow", "cancelled")


def component_differs(value: Object) -> bool:
    """A value belongs either to the Observation or to the component with the same code."""
    concept = value.get("code")
    own = objects(concept, "coding") if concept.__class__ is dict else []
    parts = (part.get("code") for part in objects(value, "component"))
    theirs = [each for part in parts if part.__class__ is dict for each in objects(part, "coding")]
    return not has_choice(value, "value") or not any(each in own for each in theirs)


def parameter_is_one(value: Object) -> bool:
    given = (has(value, "part"), has_choice(value, "value"), has(value, "resource"))
    return sum(given) == 1


HOLDS: dict[tuple[str, str], Holds] = {
    ("Age", "age-1"): is_age,
    ("Attachment", "att-1"): needs("data", "contentType"),
    ("ContactPoint", "cpt-2"): needs("value", "system"),
    ("Count", "cnt-3"): is_count,
    ("DataRequirement", "drq-1"): exactly_one("path", "searchParam"),
    ("DataRequirement", "drq-2"): exactly_one("path", "searchParam"),
    ("Distance", "dis-1"): has_unit_code,
    ("Duration", "drt-1"): is_duration,
    ("Expression", "exp-1"): one_of("expression", "reference"),
    ("Extension", "ext-1"): lambda value: has(value, "extension") != has_choice(value, "value"),
    ("Period", "per-1"): lambda value: not surely_after(value.get("start"), value.get("end")),
    ("Quantity", "qty-3"): needs("code", "system"),
    ("Range", "rng-2"): is_range,
    ("Ratio", "rat-1"): is_ratio,
    ("Timing", "tim-1"): needs("duration", "durationUnit"),
    ("Timing", "tim-2"): needs("period", "periodUnit"),
    ("Timing", "tim-4"): lambda value: at_least_zero(value, "duration"),
    ("Timing", "tim-5"): lambda value: at_least_zero(value, "period"),
    ("Timing", "tim-6"): needs("periodMax", "period"),
    ("Timing", "tim-7"): needs("durationMax", "duration"),
    ("Timing", "tim-8"): needs("countMax", "count"),
    ("Timing", "tim-9"): offset_has_when,
    ("Timing", "tim-10"): not_both("timeOfDay", "when"),
    ("TriggerDefinition", "trd-1"): lambda value: not has(value, "data") or not has_choice(value, "timing"),
    ("TriggerDefinition", "trd-2"): needs("condition", "data"),
    ("TriggerDefinition", "trd-3"): trigger_is_whole,
    ("AllergyIntolerance", "ait-1"): lambda value: allergy_error(value) or has(value, "clinicalStatus"),
    ("AllergyIntolerance", "ait-2"): lambda value: not allergy_error(value) or not has(value, "clinicalStatus"),
    ("Appointment", "app-1"): one_of("type", "actor"),
    ("Appointment", "app-2"): lambda value: has(value, "start") == has(value, "end"),
    ("Appointment", "app-3"): appointment_is_timed,
    ("Appointment", "app-4"): cancelation_fits,
    ("AuditEvent", "sev-1"): not_both("name", "query"),
    ("CarePlan", "cpl-3"): not_both("detail", "reference"),
    ("Composition", "cmp-1"): one_of("text", "entry", "section"),
    ("Composition", "cmp-2"): not_both("emptyReason", "entry"),
    ("Condition", "con-1"): one_of("summary", "assessment"),
    ("Condition", "con-2"): one_of("code", "detail"),
    ("Condition", "con-3"): problem_has_status,
    ("Condition", "con-4"): abatement_fits,
    ("Condition", "con-5"): lambda value: not condition_error(value) or not has(value, "clinicalStatus"),
    ("FamilyMemberHistory", "fhs-1"): lambda value: not (has_choice(value, "age") and has_choice(value, "born")),
    ("FamilyMemberHistory", "fhs-2"): lambda value: has_choice(value, "age") or not has(value, "estimatedAge"),
    ("MedicationDispense", "mdd-1"): lambda value: (
        not surely_after(value.get("whenPrepared"), value.get("whenHandedOver"))
    ),
    ("Observation", "obs-3"): one_of("low", "high", "text"),
    ("Observation", "obs-6"): lambda value: not (has(value, "dataAbsentReason") and has_choice(value, "value")),
    ("Observation", "obs-7"): component_differs,
    ("Organization", "org-1"): one_of("identifier", "name"),
    ("Organization", "org-2"): lambda value: value.get("use") != "home",
    ("Organization", "org-3"): lambda value: value.get("use") != "home",
    ("Parameters", "inv-1"): parameter_is_one,
    ("Patient", "pat-1"): one_of("name", "telecom", "address", "organization"),
    ("Questionnaire", "que-7"): lambda value: value.get("operator") != "exists" or has(value, "answerBoolean"),
    ("QuestionnaireResponse", "qrs-1"): not_both("answer", "item"),
    ("ServiceRequest", "prr-1"): needs("orderDetail", "code"),
    ("Task", "inv-1"): lambda value: not surely_after(value.get("authoredOn"), value.get("lastModified")),
}

ELSEWHERE = frozenset(
    {
        ("Element", "ele-1"),
        ("Narrative", "txt-1"),
        ("Narrative", "txt-2"),
        ("Reference", "ref-1"),
        ("SimpleQuantity", "sqty-1"),
        *(("DomainResource", f"dom-{number}") for number in (2, 3, 4, 5)),
        *(("Bundle", f"bdl-{number}") for number in (1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12)),
    }
)
"""Judged where the walk knows what they need: emptiness, local references, contained resources, Bundles."""


def rule_for(constraint: table.Constraint) -> Rule | None:
    holds = HOLDS.get((constraint.owner, constraint.key))
    if holds is None:
        return None
    severity = Severity.ERROR if constraint.severity == "error" else Severity.WARNING
    words = f"{constraint.key}: {constraint.human}"

    def rule(value: Object, path: str, scope: Scope) -> None:
        if not holds(value):
            scope.findings.add("invariant", path, words, severity)

    return rule


def uncovered(type_name: str) -> Iterator[table.Constraint]:
    """The constraints on a type that nothing here judges; guidelines are nobody's duty."""
    for constraint in table.definition(type_name).constraints:
        known = (constraint.owner, constraint.key)
        if known not in HOLDS and known not in ELSEWHERE and constraint.severity != "guideline":
            yield constraint
