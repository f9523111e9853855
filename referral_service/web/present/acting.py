"""The moves that somebody may make now, as forms: the likely next ones first, what each asks for, what was typed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from referral_service.issues import Issue
from referral_service.policy import Policy
from referral_service.web.present import words
from referral_service.worklist import REASONS, Action, Takes
from referral_service.worklist.judge import LONGEST_NAME, LONGEST_WORDS

Faults = Mapping[str, str]
"""What is wrong, by field; the empty one is the form as a whole."""
Pairs = Sequence[tuple[str, str]]
"""Values with the words they are shown by."""

DIRECT = frozenset({"receive", "accept", "start", "resume", "claim", "unassign", "resume-clock"})
"""Moves that one press makes, for they ask nothing."""
ENDS = frozenset({"reject", "cancel", "fail", "entered-in-error"})
_FREE = {Takes.ASSIGNEE, Takes.DATE, Takes.BIRTH_DATE, Takes.REPORT}
_BY_RULE = {
    "task-status-reason": Takes.REASON,
    "task-comment": Takes.COMMENT,
    "task-owner": Takes.QUEUE,
    "task-code": Takes.CODE,
    "code-not-in-value-set": Takes.BUSINESS_STATUS,
}
_BY_ELEMENT = {"Task.note": Takes.COMMENT, "Task.owner": Takes.QUEUE, "Task.reasonCode": Takes.CODE}
_TITLES = {
    "re-route": "Move to a queue",
    "return-for-information": "Ask the sender",
    "comment": "Write to the sender",
    "complete": "Complete with a report",
}
_HINTS = {
    "return-for-information": "The sender reads this, and by answering brings the referral back to where it was.",
    "reject": "The sender reads the reason and these words.",
    "cancel": "The sender reads the reason and these words.",
    "fail": "The sender reads the reason and these words.",
    "comment": "It stands in the Task, where the sender reads it.",
    "complete": "The sender reads the report.",
    "report": "The sender reads the report.",
    "confirm-birth-date": "The age is worked out again with it. What the sender sent stays as it is.",
    "correct-code": "It stands beside the proposed code, which is kept, and the service never overrules it.",
    "re-route": "It starts again there, with nobody's name on it; its clock runs on.",
    "pause-clock": "The due date moves by the business days until the clock runs again.",
    "entered-in-error": "For a referral that should never have been here. It cannot be taken back.",
    "undo": "All is as it was before the end.",
}
_COMMENTS = {
    "return-for-information": "What is missing",
    "comment": "Words to the sender",
    "confirm-birth-date": "Who confirmed it, and how",
    "re-route": "Why",
    "correct-code": "Why",
    "pause-clock": "Why",
    "undo": "Why",
    "reject": "In words, for the sender",
    "cancel": "In words, for the sender",
    "fail": "In words, for the sender",
}
_LABELS = {
    Takes.REASON: "Reason",
    Takes.QUEUE: "Queue",
    Takes.ASSIGNEE: "Who",
    Takes.DATE: "Day and time",
    Takes.BIRTH_DATE: "Birth date",
    Takes.CODE: "Code",
    Takes.BUSINESS_STATUS: "Progress",
    Takes.REPORT: "Closing report",
}
_EMPTY = {
    Takes.REASON: "Choose a reason.",
    Takes.COMMENT: "Say it in words.",
    Takes.QUEUE: "Choose a queue.",
    Takes.ASSIGNEE: "Say who.",
    Takes.DATE: "Say on which day and at what time.",
    Takes.BIRTH_DATE: "Say the birth date.",
    Takes.CODE: "Choose a code.",
    Takes.REPORT: "Write the report.",
}
_WRONG = {
    Takes.COMMENT: f"At most {LONGEST_WORDS:,} letters.",
    Takes.REPORT: f"At most {LONGEST_WORDS:,} letters.",
    Takes.ASSIGNEE: f"At most {LONGEST_NAME} letters.",
    Takes.DATE: "There is no such day and time. Write it as 2026-03-20 14:30.",
    Takes.BIRTH_DATE: "Write the birth date as 2009-09-14, of somebody who can be living.",
}


@dataclass(frozen=True, slots=True)
class Field:
    """``kind`` is ``choice``, ``words``, ``line``, ``moment``, ``date`` or ``fixed`` (one value, nothing to choose)."""

    name: str
    kind: str
    label: str
    value: str
    needed: bool
    choices: Pairs
    hint: str
    fault: str
    longest: int


@dataclass(frozen=True, slots=True)
class Form:
    """One move. ``is_direct`` is a button alone; ``fault`` is what is wrong with it as a whole."""

    code: str
    title: str
    button: str
    hint: str
    fields: tuple[Field, ...]
    is_direct: bool
    is_end: bool
    is_open: bool
    fault: str

    @property
    def faults(self) -> list[Field]:
        return [one for one in self.fields if one.fault]


@dataclass(frozen=True, slots=True)
class Offered:
    """All moves that may be made now. ``version`` is the one of the Task that they were offered on."""

    version: int
    likely: list[Form]
    others: list[Form]


@dataclass(frozen=True, slots=True)
class Options:
    """What can be chosen: values with their words, by what they are for."""

    queues: Pairs
    codes: Pairs
    business_statuses: Pairs
    people: Sequence[str]


@dataclass(frozen=True, slots=True)
class Typed:
    """What somebody sent and what was wrong with it, to be offered again."""

    action: str
    values: Mapping[str, str]
    faults: Faults = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Proposed:
    """Which moves are likely, in order, what stands in their fields before anybody types, and which form is open."""

    likely: Sequence[str]
    filled: Mapping[str, Mapping[str, str]]
    opened: str = ""


def offered(
    allowed: Iterable[Action], version: int, proposed: Proposed, options: Options, typed: Typed | None, policy: Policy
) -> Offered:
    forms = {one.code: _form(one, proposed, options, typed, policy) for one in allowed}
    likely = [forms.pop(code) for code in dict.fromkeys(proposed.likely) if code in forms]
    return Offered(version, likely, list(forms.values()))


def _form(action: Action, proposed: Proposed, options: Options, typed: Typed | None, policy: Policy) -> Form:
    sent = typed if typed is not None and typed.action == action.code else None
    values = sent.values if sent else proposed.filled.get(action.code, {})
    faults = sent.faults if sent else {}
    given = [_field(action, takes, values, faults, options, policy) for takes in action.takes]
    given.sort(key=lambda one: one.kind == "words")
    is_open = sent is not None or (typed is None and action.code == proposed.opened)
    return Form(
        action.code,
        _TITLES.get(action.code, action.label),
        _button(action, values, options),
        _HINTS.get(action.code, ""),
        tuple(given) if action.code not in DIRECT else (),
        action.code in DIRECT,
        action.code in ENDS,
        is_open,
        faults.get("", ""),
    )


def _button(action: Action, values: Mapping[str, str], options: Options) -> str:
    queue = dict(options.queues).get(values.get(Takes.QUEUE, ""))
    return f"Move to {queue}" if action.code == "re-route" and queue else _TITLES.get(action.code, action.label)


def _field(
    action: Action, takes: Takes, values: Mapping[str, str], faults: Faults, options: Options, policy: Policy
) -> Field:
    choices = _choices(action, takes, options)
    is_fixed = takes is Takes.REASON and len(choices) == 1
    return Field(
        name=takes.value,
        kind="fixed" if is_fixed else _KINDS[takes],
        label=_label(action, takes),
        value=choices[0][0] if is_fixed else values.get(takes, ""),
        needed=takes in action.required,
        choices=choices,
        hint=_hint(takes, policy),
        fault=faults.get(takes, ""),
        longest=LONGEST_NAME if takes is Takes.ASSIGNEE else LONGEST_WORDS,
    )


_KINDS = {
    Takes.REASON: "choice",
    Takes.COMMENT: "words",
    Takes.QUEUE: "choice",
    Takes.ASSIGNEE: "line",
    Takes.DATE: "moment",
    Takes.BIRTH_DATE: "date",
    Takes.CODE: "choice",
    Takes.BUSINESS_STATUS: "choice",
    Takes.REPORT: "words",
}


def _label(action: Action, takes: Takes) -> str:
    if takes is Takes.COMMENT:
        return _COMMENTS.get(action.code, "Comment")
    return "Code, if it is to be another" if (action.code, takes) == ("re-route", Takes.CODE) else _LABELS[takes]


def _hint(takes: Takes, policy: Policy) -> str:
    if takes is Takes.DATE:
        return f"As the clock says in {policy.zone.key}."
    return "As 2009-09-14; 2009-09 or 2009 when no more is known." if takes is Takes.BIRTH_DATE else ""


def _choices(action: Action, takes: Takes, options: Options) -> Pairs:
    if takes is Takes.REASON:
        return [(one.code, one.display) for one in REASONS if one.code in action.reasons]
    found: Mapping[Takes, Pairs] = {
        Takes.QUEUE: options.queues,
        Takes.CODE: options.codes,
        Takes.BUSINESS_STATUS: options.business_statuses,
        Takes.ASSIGNEE: [(name, name) for name in options.people],
    }
    return found.get(takes, ())


def faults_of(action: Action, issues: Iterable[Issue], given: Mapping[str, str]) -> dict[str, str]:
    """What the judge of moves found, told beside the fields that it is about."""
    found: dict[str, str] = {}
    for issue in issues:
        takes = _takes_of(action, issue)
        if takes is None:
            found.setdefault("", issue.diagnostics)
        elif not given.get(takes):
            found.setdefault(takes, _EMPTY.get(takes, issue.diagnostics))
        else:
            found.setdefault(takes, _WRONG.get(takes, "Choose one of these."))
    return found


def _takes_of(action: Action, issue: Issue) -> Takes | None:
    if issue.rule != "task-field":
        takes = _BY_RULE.get(issue.rule)
        return takes if takes in action.takes else None
    named = _BY_ELEMENT.get(issue.expression)
    return named or next((takes for takes in action.takes if takes in _FREE), None)


def moment_of(text: str, zone: ZoneInfo) -> str | None:
    """A FHIR dateTime of a day, or of a day and time as clocks of the zone show it; None when they never do."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return None
    if len(text) == len("2026-03-20"):
        return read.date().isoformat()
    local = read.replace(tzinfo=zone)
    is_skipped = local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != read
    return None if read.tzinfo or is_skipped else local.isoformat(timespec="seconds")


def local_of(moment: str | None, zone: ZoneInfo) -> str:
    """A FHIR dateTime for a field of day and time; empty when it has no time, or none that the zone can show."""
    if moment is None or "T" not in moment:
        return ""
    try:
        return datetime.fromisoformat(moment).astimezone(zone).strftime("%Y-%m-%dT%H:%M")
    except (ValueError, OverflowError):
        return ""


def moment_words(moment: str, now: words.Now) -> str:
    """A FHIR dateTime in words of the site's zone."""
    return now.moment(moment).words if "T" in moment else words.birth_day(moment)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why nothing was done: each fault with the id of its field; what was typed stands in the form ``again``, or is
    ``kept`` here when its form is gone."""

    title: str
    faults: list[tuple[str, str]]
    again: bool
    kept: list[tuple[str, str]]


def problem(action: Action, typed: Typed, offered: Offered) -> Problem:
    form = next((one for one in (*offered.likely, *offered.others) if one.code == action.code), None)
    faults = [(f"{action.code}-{name}" if name and form else "", told) for name, told in typed.faults.items()]
    lost = [] if form else [(_label(action, takes), typed.values.get(takes, "")) for takes in action.takes]
    kept = [(label, value) for label, value in lost if value]
    asked = [one for one in form.fields if one.kind != "fixed"] if form else []
    again = any(typed.values.get(one.name) for one in asked)
    return Problem(_TITLES.get(action.code, action.label), faults, again, kept)
