"""The life of a Task: its moves, who may make them, and its clock."""

from referral_service.worklist.clock import due_on
from referral_service.worklist.table import (
    BEFORE_WORK,
    FINAL,
    MOVES,
    NEEDS_REASON,
    Position,
    faults_of_move,
    moves_from,
    position_on_cancel,
)

__all__ = [
    "BEFORE_WORK",
    "FINAL",
    "MOVES",
    "NEEDS_REASON",
    "Position",
    "due_on",
    "faults_of_move",
    "moves_from",
    "position_on_cancel",
]
