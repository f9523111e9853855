"""What a coordinator probably does next with a referral: proposed, never done by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from referral_service.fhir.writer import read_decision
from referral_service.policy import Policy
from referral_service.referral import Assertion, Decision, Flag, Queue
from referral_service.routing import queue_for
from referral_service.web.present import words
from referral_service.web.present.acting import Proposed, local_of
from referral_service.worklist import FINAL, WITHDRAWN, Takes

Row = Mapping[str, Any]
_APPOINTMENT = ("book-appointment", "move-appointment")
_IN_QUEUE = ("claim", "accept", "return-for-information", "re-route", "reject")
_NEXT: Mapping[str, tuple[str, ...]] = {
    "requested": _IN_QUEUE,
    "received": _IN_QUEUE,
    "accepted": ("start", *_APPOINTMENT, "return-for-information"),
    "in-progress": ("seen", "did-not-attend", *_APPOINTMENT, "complete"),
    "on-hold": ("resume", "reject"),
}
_UNDO = "Pressed by mistake."


def likely(row: Row, policy: Policy) -> Proposed:
    """``row`` is a referral with its Task as the store gives it."""
    filled = _filled(row, policy)
    if row["status"] in FINAL:
        return Proposed(("comment", "report", "undo"), filled)
    if _is_withdrawn(row):
        end = "fail" if row["status"] == "in-progress" else "cancel"
        return Proposed((end, "complete", "comment"), filled, end)
    if row["queue"] == Queue.REVIEW and row["status"] != "on-hold":
        return _in_review(read_decision(row["decision"]), filled, policy)
    listed = _NEXT[row["status"]]
    if row["appointment"] is None:
        listed = tuple(code for code in listed if code != "seen")
    return Proposed((*listed, "comment"), filled)


def _filled(row: Row, policy: Policy) -> dict[str, dict[str, str]]:
    at = {Takes.DATE.value: local_of(row["appointment"], policy.zone)}
    withdrawn = {Takes.REASON.value: WITHDRAWN}
    filled = {"move-appointment": at, "did-not-attend": at, "seen": at, "undo": {Takes.COMMENT.value: _UNDO}}
    return filled | ({"fail": withdrawn, "cancel": withdrawn} if _is_withdrawn(row) else {})


def _is_withdrawn(row: Row) -> bool:
    return row["referral_status"] in ("revoked", "entered-in-error")


def _in_review(decision: Decision, filled: dict[str, dict[str, str]], policy: Policy) -> Proposed:
    """Held for a human: the queue that the age speaks for is filled in, with words to be changed."""
    queue, flags = queue_for(decision.age, policy), set(decision.flags)
    asked = ["confirm-birth-date"] if Flag.AGE_UNDETERMINED in flags else []
    asked += ["correct-code"] if Flag.INDICATION_UNDETERMINED in flags else []
    rest = ("return-for-information", "claim", "reject", "comment")
    if queue is None:
        return Proposed((*asked, "re-route", *rest), filled, next(iter(asked), ""))
    if Flag.DECEASED in flags:
        return Proposed(("reject", "re-route", *rest), filled | {"reject": {Takes.REASON.value: "deceased"}}, "reject")
    given = {Takes.QUEUE.value: queue.value, Takes.COMMENT.value: _why(decision, queue, policy)}
    return Proposed(("re-route", *asked, *rest), filled | {"re-route": given}, "re-route")


def _why(decision: Decision, queue: Queue, policy: Policy) -> str:
    assert decision.age is not None
    age = words.interval(decision.age.minimum, decision.age.maximum)
    counts = (Assertion.AFFIRMED, Assertion.SUSPECTED)
    found = (one.finding.display for one in decision.evidence if one.assertion in counts and one.finding.display)
    named = decision.code.cm.display if decision.code else next(found, "")
    matter = f"“{named}” is" if named else "The referral is"
    return f"Looked at by hand: {matter} to be assessed by {policy.queues[queue]}; {age} when received."
