"""The life of a Task: its moves, who may make them, its clock, and what a human corrects."""

from referral_service.worklist.actions import ACTIONS, Action, Takes, allowed
from referral_service.worklist.actors import Actor, Role, everyone, machine
from referral_service.worklist.clock import due_on
from referral_service.worklist.judge import BUSINESS_STATUSES, SET_BY_HAND, judge, no_such_move
from referral_service.worklist.reasons import MORE_INFORMATION, REASONS, WITHDRAWN, StatusReason
from referral_service.worklist.table import (
    BEFORE_WORK,
    ENDED,
    FINAL,
    MOVES,
    NEEDS_REASON,
    OPEN,
    QUESTION,
    WISH,
    Position,
    position_on_cancel,
)

__all__ = [
    "ACTIONS",
    "BEFORE_WORK",
    "BUSINESS_STATUSES",
    "ENDED",
    "FINAL",
    "MORE_INFORMATION",
    "MOVES",
    "NEEDS_REASON",
    "OPEN",
    "QUESTION",
    "REASONS",
    "SET_BY_HAND",
    "WISH",
    "WITHDRAWN",
    "Action",
    "Actor",
    "Position",
    "Role",
    "StatusReason",
    "Takes",
    "allowed",
    "due_on",
    "everyone",
    "judge",
    "machine",
    "no_such_move",
    "position_on_cancel",
]
