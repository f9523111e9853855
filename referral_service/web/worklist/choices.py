"""What the list can be narrowed to: each choice with the words it is shown by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from referral_service.fhir.package import definitions
from referral_service.policy import Policy
from referral_service.referral import Flag, Priority
from referral_service.web.present import words
from referral_service.worklist import FINAL, MOVES

NO_CODE, UNKNOWN, MINE, NOBODY = "none", "unknown", "mine", "nobody"
BANDS: Mapping[str, tuple[int, int | None]] = {
    "0-5": (0, 5),
    "6-12": (6, 12),
    "13-17": (13, 17),
    "18-29": (18, 29),
    "30-59": (30, 59),
    "60-": (60, None),
}
"""Ages in whole years, both ends included."""


@dataclass(frozen=True, slots=True)
class Bulk:
    """A move of many at once: its button, and what is said of those that were moved."""

    button: str
    done: str


BULK: Mapping[str, Bulk] = {
    "claim": Bulk("Take in hand", "taken in hand"),
    "receive": Bulk("Mark as received", "marked as received"),
}
"""Moves that ask nothing, by code."""
ORDERS: Mapping[str, str] = {
    "urgency": "Most urgent first",
    "-urgency": "Least urgent first",
    "waiting": "Longest waiting first",
    "-waiting": "Newest first",
    "due": "Due soonest first",
    "-due": "Due last first",
    "-age": "Youngest first",
    "age": "Oldest first",
    "-changed": "Latest change first",
    "changed": "Longest unchanged first",
}


@dataclass(frozen=True, slots=True)
class Choice:
    value: str
    words: str


@dataclass(frozen=True, slots=True)
class Menu:
    """One filter with all it can be set to."""

    name: str
    label: str
    choices: tuple[Choice, ...]

    def words(self, value: str) -> str:
        return next((choice.words for choice in self.choices if choice.value == value), value)


def statuses(closed: bool) -> list[str]:
    return [status for status in MOVES if (status in FINAL) == closed]


def business_statuses() -> dict[str, str]:
    return {one["code"]: one["display"] for one in definitions()["CodeSystem"]["business-status"]["concept"]}


def codes() -> dict[str, str]:
    """The codes that are given out, with their titles."""
    return {one["code"]: one["display"] for one in definitions()["CodeSystem"]["icd-10-cm-g24"]["concept"]}


def menus(
    policy: Policy, closed: bool, senders: Iterable[tuple[str, str]], assignees: Iterable[tuple[str, str]]
) -> tuple[Menu, ...]:
    """``senders`` and ``assignees`` are pairs of code and name."""
    people = [Choice(MINE, "Mine"), Choice(NOBODY, "Nobody"), *(Choice(*one) for one in assignees)]
    flags = {flag.value: words.flag_chips([flag.value], policy)[0].label for flag in Flag}
    ages = [Choice(band, _band_words(*years)) for band, years in BANDS.items()]
    return (
        _menu("priority", "Priority", {one.value: one.value for one in reversed(Priority)}),
        _menu("flag", "Flag", flags),
        Menu("age", "Age", (*ages, Choice(UNKNOWN, "Not known"))),
        Menu("code", "Indication", (*_coded(codes()), Choice(NO_CODE, "No code"))),
        _menu("status", "Status", {one: words.status(one, policy) for one in statuses(closed)}),
        _menu("business-status", "Progress", business_statuses()),
        *(() if closed else (_menu("due", "Due", {"overdue": "Overdue", "soon": "Today or tomorrow"}),)),
        Menu("assignee", "Assigned to", tuple(people)),
        Menu("sender", "From", tuple(Choice(*one) for one in senders)),
    )


def _menu(name: str, label: str, choices: Mapping[str, str]) -> Menu:
    return Menu(name, label, tuple(Choice(*one) for one in choices.items()))


def _coded(titles: Mapping[str, str]) -> tuple[Choice, ...]:
    return tuple(Choice(code, f"{code} {title}") for code, title in titles.items())


def _band_words(youngest: int, oldest: int | None) -> str:
    return f"{youngest} or over" if oldest is None else f"{youngest} to {oldest}"
