"""DecisionInput + Policy -> Decision: the whole table of dispositions, pure.

The first line that fits decides: not actionable -> rejected; surely something else -> rejected; deceased, no sure
indication or no sure age -> review; else routed. What a human took in waits for a human, whatever it says. What is
not readable or not valid never reaches this room: intake refuses it with :func:`refused`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from referral_service.coding import Assessment, Indication, Why, assess
from referral_service.coding.concepts import Vocabulary
from referral_service.issues import Issue, Severity, error, information, warning
from referral_service.policy import Policy
from referral_service.referral import (
    AgeInterval,
    Decision,
    DecisionInput,
    Disposition,
    Flag,
    Priority,
    Queue,
    Referral,
)
from referral_service.routing import age_interval, queue_for
from referral_service.worklist import due_on

WHY_UNDETERMINED: dict[Why, str] = {
    Why.ONLY_NEGATED: "Dystonia is named only to be ruled out.",
    Why.ONLY_FAMILY: "Dystonia is named only in the family.",
    Why.ONLY_HISTORICAL: "Dystonia is named only as past and resolved.",
    Why.ONLY_NEIGHBOUR: "A neighbouring condition is named, dystonia is not.",
    Why.MOVEMENT_WITHOUT_DIAGNOSIS: "Movements or postures are described, with no diagnosis.",
    Why.LANGUAGE_NOT_READ: "The reason is in a language that this site does not read by machine.",
    Why.ASSERTION_UNCLEAR: "It is not clear whether dystonia is said to be there.",
    Why.GENERAL_STATEMENT: "Dystonia is named only in a general statement, not as the patient's.",
    Why.OTHER_REASON_UNSURE: "One reason is surely something else, another could not be read.",
    Why.NO_READABLE_REASON: "No reason for the referral could be read.",
    Why.ELSEWHERE: "Every reason given is something other than dystonia or its neighbours.",
    Why.BACKGROUND_BESIDE_OTHER_REASON: "The reason is something else; dystonia stands only in the background.",
}
"""Our words for each way in which an indication stays undetermined (``Assessment.why``)."""


def decide(given: DecisionInput, vocabulary: Vocabulary, policy: Policy) -> Decision:
    """One referral's decision. The same input, vocabulary and policy give the same decision, byte for byte."""
    referral = given.referral
    age = age_interval(given.patient.birth_date, given.received_on) if given.patient else None
    assessment = assess(referral.facts, vocabulary, policy, age)
    priority = max([referral.priority, *(flag.priority for flag in assessment.red_flags)], key=lambda p: p.rank)
    rejections = _rejections(given, assessment, policy)
    if rejections and not given.taken_in:
        return _rejected(given, age, assessment, priority, rejections, policy)
    side = queue_for(age, policy)
    held = _held_for(given, assessment, side)
    waits = bool(held) or given.taken_in
    determined = assessment.indication is Indication.DYSTONIA
    return Decision(
        disposition=Disposition.REVIEW if waits else Disposition.ROUTED,
        queue=Queue.REVIEW if waits else side,
        code=assessment.code if determined else None,
        alternatives=assessment.alternatives if determined else (),
        certainty=assessment.certainty if determined else None,
        flags=_sorted({*held, *assessment.flags, *_other_flags(given, age, side, priority, policy)}),
        age=age,
        requested_priority=referral.priority,
        assessed_priority=priority,
        evidence=assessment.evidence,
        policy=policy.label,
        issues=(
            *_red_flag_notice(assessment, policy),
            *_overruled(given, rejections),
            *held.values(),
            *referral.wishes,
            _completeness(referral),
            _told(None if waits else side, policy),
        ),
    )


def refused(issues: Sequence[Issue], policy: Policy, *, notice: bool = False) -> Decision:
    """The decision on input that could not be taken as a referral at all; ``notice`` when its text has a red flag."""
    return Decision(
        disposition=Disposition.REFUSED,
        queue=None,
        code=None,
        alternatives=(),
        certainty=None,
        flags=(Flag.RED_FLAG,) if notice else (),
        age=None,
        requested_priority=Priority.ROUTINE,
        assessed_priority=Priority.ROUTINE,
        evidence=(),
        policy=policy.label,
        issues=(*([emergency_notice(policy)] if notice else []), *issues),
    )


def emergency_notice(policy: Policy) -> Issue:
    """The policy's words that stand in every outcome where a red flag was seen."""
    return warning("processing", "red-flag", policy.notice)


def _rejections(given: DecisionInput, assessment: Assessment, policy: Policy) -> list[Issue]:
    found, referral = [], given.referral
    if referral.status != "active" and not (policy.admit_draft and referral.status == "draft"):
        found.append(_rejection("not-active", "Only an active referral can be acted on.", "ServiceRequest.status"))
    if referral.do_not_perform:
        found.append(
            _rejection("do-not-perform", "The request asks that this is not done.", "ServiceRequest.doNotPerform")
        )
    if referral.intent == "option":
        found.append(_rejection("intent-option", "An option is not an order to act.", "ServiceRequest.intent"))
    if assessment.indication is Indication.ELSEWHERE and not given.already_taken:
        found.append(_rejection("not-dystonia", WHY_UNDETERMINED[Why.ELSEWHERE], "ServiceRequest"))
    return found


def _rejection(rule: str, words: str, expression: str) -> Issue:
    return error("business-rule", rule, words, expression)


def _rejected(
    given: DecisionInput,
    age: AgeInterval | None,
    assessment: Assessment,
    priority: Priority,
    rejections: Sequence[Issue],
    policy: Policy,
) -> Decision:
    return Decision(
        disposition=Disposition.REJECTED,
        queue=None,
        code=None,
        alternatives=(),
        certainty=None,
        flags=(Flag.RED_FLAG,) if assessment.red_flags else (),
        age=age,
        requested_priority=given.referral.priority,
        assessed_priority=priority,
        evidence=assessment.evidence,
        policy=policy.label,
        issues=(*_red_flag_notice(assessment, policy), *rejections),
    )


def taken_in() -> Issue:
    return information("informational", "taken-in", "A coordinator has taken it in; it waits for a human's decision.")


def _overruled(given: DecisionInput, rejections: Sequence[Issue]) -> list[Issue]:
    """What the machine would have rejected a referral for that a human took in: said all the same."""
    if not given.taken_in:
        return []
    return [taken_in(), *(replace(issue, severity=Severity.WARNING) for issue in rejections)]


def _held_for(given: DecisionInput, assessment: Assessment, side: Queue | None) -> dict[Flag, Issue]:
    """Why a human must look, as flags with their words; empty when nothing holds the referral."""
    held: dict[Flag, Issue] = {}
    if given.patient is not None and given.patient.deceased:
        held[Flag.DECEASED] = warning(
            "processing", "deceased", "The patient's record says that the patient has died.", "ServiceRequest.subject"
        )
    if assessment.why is not None:
        words = WHY_UNDETERMINED[assessment.why]
        held[Flag.INDICATION_UNDETERMINED] = warning(
            "processing", "indication-undetermined", f"{words} A coordinator will decide.", "ServiceRequest"
        )
    if side is None:
        held[Flag.AGE_UNDETERMINED] = warning(
            "processing", "age-undetermined", _why_no_age(given), "ServiceRequest.subject"
        )
    return held


def _why_no_age(given: DecisionInput) -> str:
    if given.patient is None:
        return "The patient is not known yet; the referral is decided again when the Patient arrives."
    if given.patient.birth_date is None:
        return "The patient's birth date is missing; a coordinator will decide."
    return "The patient's birth date does not place the age surely on one side; a coordinator will decide."


def _other_flags(
    given: DecisionInput, age: AgeInterval | None, side: Queue | None, priority: Priority, policy: Policy
) -> set[Flag]:
    flags = {Flag.POSSIBLE_DUPLICATE} if given.open_elsewhere else set()
    if age is not None and side is Queue.PEDIATRIC and given.patient is not None:
        when_due = age_interval(given.patient.birth_date, due_on(given.received_on, priority, policy))
        if when_due is not None and when_due.maximum >= policy.adult_from:
            flags.add(Flag.AGES_OUT_BEFORE_DUE)
    return flags


def _red_flag_notice(assessment: Assessment, policy: Policy) -> list[Issue]:
    return [emergency_notice(policy)] if assessment.red_flags else []


def _completeness(referral: Referral) -> Issue:
    share = f"{referral.completeness:.0%}"
    return information("informational", "completeness", f"{share} of what a coordinator wishes to find is given.")


def _told(queue: Queue | None, policy: Policy) -> Issue:
    if queue is None:
        return information("informational", "held-for-review", "The referral is held for a coordinator's review.")
    return information("informational", "routed", f"The referral stands in the queue: {policy.queues[queue]}.")


def _sorted(flags: set[Flag]) -> tuple[Flag, ...]:
    return tuple(flag for flag in Flag if flag in flags)
