"""Since when a Task stands on hold, told from its changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Hold:
    """``version`` is that of the Task with which it began. When an end was taken back it began with that, but
    ``since`` (an instant) and ``reason`` stay those of when the Task was put on hold; ``reason`` is None where other
    moves came first in the same change."""

    version: int
    since: str
    reason: str | None


def hold_of(changes: Sequence[Row]) -> Hold | None:
    """The hold that stands, or stood last, from the changes of one Task, oldest first; None when it was never held."""
    began = [row for row in changes if row["status"] == "on-hold" and row["from_status"] != "on-hold"]
    held = [row for row in began if row["action"] != "undo"]
    return Hold(began[-1]["version"], held[-1]["at"], held[-1]["reason"]) if held else None
