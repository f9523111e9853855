"""Charts as numbers to draw: the template writes them as SVG that needs neither script nor style of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from referral_service.web.present.words import MONTHS

WIDTH, HEIGHT = 720, 220
_LEFT, _TOP, _BOTTOM = 36, 12, 28


@dataclass(frozen=True, slots=True)
class Bar:
    series: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Mark:
    """A label at a place: of a line across for the scale, of a week below."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Columns:
    """A chart of columns beside each other, a group a week."""

    bars: list[Bar]
    scale: list[Mark]
    weeks: list[Mark]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    floor: int = HEIGHT - _BOTTOM


def columns(mondays: Sequence[str], *series: Sequence[int]) -> Columns:
    """``mondays`` are ISO days; every series has a number for each."""
    top = ceiling(max((max(numbers, default=0) for numbers in series), default=0))
    room, floor = HEIGHT - _TOP - _BOTTOM, HEIGHT - _BOTTOM
    group = (WIDTH - _LEFT) / max(len(mondays), 1)
    thick = group * 0.76 / len(series)
    bars = [
        Bar(
            number,
            round(_LEFT + group * (week + 0.12) + thick * number, 2),
            round(floor - room * value / top, 2),
            round(thick, 2),
            round(room * value / top, 2),
        )
        for number, values in enumerate(series)
        for week, value in enumerate(values)
        if value
    ]
    scale = [Mark(round(floor - room * part / 2, 2), f"{top * part // 2}") for part in range(3)]
    every = -(-len(mondays) // 13)
    weeks = [
        Mark(round(_LEFT + group * (week + 0.5), 2), _short(monday))
        for week, monday in enumerate(mondays)
        if (len(mondays) - 1 - week) % every == 0
    ]
    return Columns(bars, scale, weeks)


def ceiling(most: int) -> int:
    """The top of the scale: the next of 2, 4, 6, 10, 20, 40, 60, 100 …, so that its half is whole too."""
    power = 1
    while True:
        for step in (2, 4, 6, 10):
            if most <= step * power:
                return step * power
        power *= 10


def _short(day: str) -> str:
    on = date.fromisoformat(day)
    return f"{on.day} {MONTHS[on.month - 1]}"
