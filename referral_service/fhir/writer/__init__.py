"""What we author, as FHIR: the decision, the Task, the Provenance, outcomes and the tags on a referral.

What is written now and then is typed by ``fhir.resources.R4B``, so that a slip of ours fails here and not at the
receiver; what comes with every referral is held to the same models by tests. The sender's own JSON only passes through
:func:`served`, which adds id, meta and rewritten references and touches nothing else.
"""

from referral_service.fhir.writer.decision import (
    coding,
    concept,
    correction_parameter,
    decided_codings,
    decided_issues,
    decision_parameters,
    decision_tags,
    flag_tags,
    read_decision,
)
from referral_service.fhir.writer.entered import Attachment, Entered, Filled, entered_bundle
from referral_service.fhir.writer.message import PROCESS_MESSAGE, Programme, Told, message_answer, message_of_change
from referral_service.fhir.writer.outcome import CANONICAL, outcome, own_system, pretty, typed
from referral_service.fhir.writer.served import AI_ASSISTED, Stamp, served
from referral_service.fhir.writer.task import (
    TaskFacts,
    decided_task,
    owner,
    provenance,
    provenance_by_hand,
    task,
    task_reason,
)

__all__ = [
    "AI_ASSISTED",
    "CANONICAL",
    "PROCESS_MESSAGE",
    "Attachment",
    "Entered",
    "Filled",
    "Programme",
    "Stamp",
    "TaskFacts",
    "Told",
    "coding",
    "concept",
    "correction_parameter",
    "decided_codings",
    "decided_issues",
    "decided_task",
    "decision_parameters",
    "decision_tags",
    "entered_bundle",
    "flag_tags",
    "message_answer",
    "message_of_change",
    "outcome",
    "own_system",
    "owner",
    "pretty",
    "provenance",
    "provenance_by_hand",
    "read_decision",
    "served",
    "task",
    "task_reason",
    "typed",
]
