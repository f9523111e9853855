"""A human's word over the machine's decision: the code, and the queue.

The machine's own decision is kept beside; this is the decision that is served.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from referral_service.issues import Issue, information
from referral_service.policy import Policy
from referral_service.referral import Certainty, CodePair, Decision, Disposition, Flag, Queue
from referral_service.routing import queue_for

ANSWERED_BY_CODE = frozenset({Flag.INDICATION_UNDETERMINED, Flag.CODE_CONTESTABLE, Flag.CODE_CONFLICT})
"""Flags that ask what the code is; a human who states it has answered them."""
_HOLDS = frozenset({Flag.DECEASED, Flag.INDICATION_UNDETERMINED, Flag.AGE_UNDETERMINED})
_PLACED = frozenset({"routed", "held-for-review"})


@dataclass(frozen=True, slots=True)
class ByHand:
    """What humans have decided of a referral; None what was left to the machine."""

    code: CodePair | None = None
    queue: Queue | None = None


def corrected(decision: Decision, by_hand: ByHand, policy: Policy) -> Decision:
    """The decision as served. A code stated by hand holds nothing back any more; a queue chosen by hand stands."""
    if by_hand == ByHand():
        return decision
    flags = tuple(flag for flag in decision.flags if by_hand.code is None or flag not in ANSWERED_BY_CODE)
    placed = replace(decision, flags=flags)
    if by_hand.code is not None:
        placed = _with_code(placed, by_hand.code)
    queue = by_hand.queue or _queue_of(placed, policy)
    gone = {flag.value for flag in set(decision.flags) - set(flags)} | _PLACED
    return replace(
        placed,
        queue=queue,
        disposition=Disposition.REVIEW if queue is Queue.REVIEW else Disposition.ROUTED,
        issues=(*(issue for issue in decision.issues if issue.rule not in gone), _told(queue, policy)),
    )


def _with_code(decision: Decision, code: CodePair) -> Decision:
    """A coordinator names what the referral is for, which is no diagnosis: it is suspected until somebody says more."""
    return replace(
        decision,
        code=code,
        alternatives=tuple(one for one in decision.alternatives if one.code != code),
        certainty=decision.certainty or Certainty.SUSPECTED,
    )


def _queue_of(decision: Decision, policy: Policy) -> Queue:
    side = queue_for(decision.age, policy)
    return Queue.REVIEW if side is None or _HOLDS & set(decision.flags) else side


def _told(queue: Queue, policy: Policy) -> Issue:
    if queue is Queue.REVIEW:
        return information("informational", "held-for-review", "The referral is held for a coordinator's review.")
    return information("informational", "routed", f"The referral stands in the queue: {policy.queues[queue]}.")
