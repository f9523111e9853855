"""Why a Task is rejected, on hold, cancelled or failed: the codes of ``CodeSystem/status-reason`` as one table.

``profiles/`` states the same for those who call (a test holds the two together).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StatusReason:
    """One reason: which statuses it can explain, and whether it says too little without a comment."""

    code: str
    display: str
    statuses: frozenset[str]
    needs_comment: bool = False


def _reason(code: str, display: str, *statuses: str, needs_comment: bool = False) -> StatusReason:
    return StatusReason(code, display, frozenset(statuses), needs_comment)


REASONS: tuple[StatusReason, ...] = (
    _reason("out-of-scope", "Out of scope", "rejected"),
    _reason("duplicate", "Duplicate", "rejected", "cancelled"),
    _reason("age-out-of-range", "Age out of range", "rejected"),
    _reason("more-information-needed", "More information needed", "on-hold", needs_comment=True),
    _reason("more-information-not-received", "More information not received", "rejected", "cancelled"),
    _reason("patient-declined", "Patient declined", "rejected", "cancelled", "failed"),
    _reason("patient-unavailable", "Patient unavailable for now", "on-hold"),
    _reason("unable-to-contact", "Unable to contact", "rejected", "cancelled", "failed"),
    _reason("did-not-attend", "Did not attend", "cancelled", "failed"),
    _reason("deceased", "Patient deceased", "rejected", "cancelled", "failed"),
    _reason("wrong-patient", "Wrong patient", "rejected", "cancelled", "failed"),
    _reason("treated-elsewhere", "Treated elsewhere", "rejected", "cancelled", "failed"),
    _reason("capacity", "No capacity", "rejected", "on-hold"),
    _reason("withdrawn-by-sender", "Withdrawn by the sender", "cancelled", "failed"),
    _reason("other", "Other", "rejected", "on-hold", "cancelled", "failed", needs_comment=True),
)

BY_CODE = {reason.code: reason for reason in REASONS}
MORE_INFORMATION = "more-information-needed"
WITHDRAWN = "withdrawn-by-sender"


def reasons_for(status: str) -> tuple[str, ...]:
    """The codes that can explain a status, in the order of the table."""
    return tuple(reason.code for reason in REASONS if status in reason.statuses)
