"""The same request again: what it was answered the first time, from what was remembered of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from referral_service.fhir.bundle import Entry
from referral_service.fhir.writer import decided_issues
from referral_service.intake.course import Course
from referral_service.intake.deciding import located
from referral_service.intake.draft import AUTHORED_ONLY, SUPPORTING
from referral_service.intake.site import Answer, Became, Received, failed, type_and_id
from referral_service.issues import FaultKind, Issue, Severity, error, information
from referral_service.store import lookups
from referral_service.store.lookups import KnownKey, Pair

Remembered = str | dict[str, Any] | None
"""What one entry became: the reference it was given, else what was said of it, None when that was nothing."""


def remembered(course: Course) -> list[Remembered]:
    """The answers of a request as they are kept beside its text."""
    answers = [course.answers.get(place) for place in range(max(course.answers, default=-1) + 1)]
    return [_in_short(answer) for answer in answers]


def references(text: str | None) -> list[str | None]:
    """The references that the entries of a request were given, by place."""
    return [one if isinstance(one, str) else None for one in orjson.loads(text or "[]")]


def replay_of_request(course: Course) -> Received | None:
    """What the same request was answered before, when one of its own keys is known; the first of them decides."""
    pair, key = next(((one, course.known.keys[one]) for one in course.request_keys if one in course.known.keys), _NONE)
    if key is None:
        return None
    if key.content_hash != course.request_hash():
        words = f"This {_KEYS[pair[0]]} was used before for another request."
        return _conflict(course, error("conflict", "key-reused", words), is_kept=True)
    before = orjson.loads(lookups.received_answers(course.connection, key.received_id) or "[]")
    if course.incoming.bars:
        named = (one for one in before if isinstance(one, str) and type_and_id(one)[0] == "ServiceRequest")
        return _conflict(course, duplicate(" and ".join(named)), is_kept=False)
    course.draft.answered = [one for one in before if isinstance(one, str)]
    course.draft.add_received("replay", keep_body=False, answers=before)
    course.draft.write(course.connection)
    first = Before(before)
    entries = {entry.position or 0: entry for entry in course.envelope.entries}
    answers = [_again(course, entries.get(place), first.of(kind, place)) for place, kind in enumerate(_types(course))]
    return Received(tuple(course.forbidden.get(place, answer) for place, answer in enumerate(answers)))


_KEYS = {"idempotency": "Idempotency-Key", "message": "message id"}
_NONE: tuple[Pair, KnownKey | None] = (("", ""), None)


def duplicate(first: str) -> Issue:
    words = f"This was received before, and nothing was done again; see {first}."
    return error("duplicate", "duplicate", words)


def _conflict(course: Course, issue: Issue, *, is_kept: bool) -> Received:
    course.draft.fault = FaultKind.CONFLICT
    course.draft.add_received("conflict" if is_kept else "replay", keep_body=is_kept)
    course.draft.write(course.connection)
    return Received((), failed(FaultKind.CONFLICT, issue))


class Before:
    """The answers of the first request, handed out to the entries of the second, whatever their order now."""

    def __init__(self, answers: Iterable[Remembered]) -> None:
        self._left = dict(enumerate(answers))

    def of(self, kind: str | None, place: int) -> Remembered:
        """What an entry of this type was answered: at the same place if the types agree, else the next of its type."""
        fits = (at for at, one in self._left.items() if isinstance(one, str) and type_and_id(one)[0] == kind)
        here = self._left.get(place)
        if isinstance(here, str) and type_and_id(here)[0] == kind:
            return self._left.pop(place)
        at = next(fits, None)
        if at is not None:
            return self._left.pop(at)
        return self._left.pop(place) if isinstance(here, dict) else None


def again(entry: Entry, reference: Remembered, rows: dict[str, dict[str, Any]]) -> Answer:
    """The answer on an entry that came along with a referral that is here already."""
    row = rows.get(type_and_id(reference)[1]) if isinstance(reference, str) else None
    return _as_it_stands(row["type"], row) if row is not None else Answer(Became.KEPT, (_not_anew(entry.path),))


def _as_it_stands(kind: str, row: dict[str, Any], task_id: str | None = None, issues: tuple[Issue, ...] = ()) -> Answer:
    return Answer(
        Became.REPLAYED, issues, kind, row["id"], row["version"], row["last_updated"], row["content"], task_id
    )


def _types(course: Course) -> list[str | None]:
    if not course.envelope.is_bundle:
        return [course.envelope.entries[0].type]
    return [entry.get("resource", {}).get("resourceType") for entry in course.envelope.payload["entry"]]


def _again(course: Course, entry: Entry | None, before: Remembered) -> Answer:
    """What was said of an entry is said again, of the place where it stands now."""
    if isinstance(before, dict):
        return _said_before(before)
    if entry is not None and entry.type not in (*SUPPORTING, "ServiceRequest"):
        return kept(entry, before or "")
    remarks = course.remarks_of(entry) if entry is not None else ()
    kind, identity = type_and_id(before or "")
    row = lookups.current(course.connection, course.incoming.client, kind, identity) if before else None
    if row is None:
        return Answer(Became.KEPT, (_not_anew(""),))
    if kind != "ServiceRequest":
        return _as_it_stands(kind, dict(row), issues=remarks)
    task_id = lookups.referral_with_task(course.connection, identity)[1]["id"]
    decided = decided_issues(row["decision"])
    return _as_it_stands(kind, dict(row), task_id, (*(located(decided, entry) if entry else decided), *remarks))


def kept(entry: Entry, reference: str) -> Answer:
    """On an entry of a type that is not stored; ``reference`` is what stands for it here, if anything does."""
    what = "is written by this service itself" if entry.type in AUTHORED_ONLY else "is not stored by itself"
    words = f"A {entry.type} {what}; it stands in the text received."
    issue = information("informational", "not-stored", words, entry.path)
    kind, identity = type_and_id(reference)
    return Answer(Became.KEPT, (issue,), kind or None, identity or None)


def _not_anew(path: str) -> Issue:
    words = "The referral is here already; what came along with it again was not stored anew."
    return information("informational", "replayed", words, path)


def _in_short(answer: Answer | None) -> Remembered:
    if answer is None or answer.id:
        return f"{answer.type}/{answer.id}" if answer is not None else None
    return {"became": answer.became, "fault": answer.fault, "issues": answer.issues}


def _said_before(before: dict[str, Any]) -> Answer:
    issues = tuple(Issue(**{**one, "severity": Severity(one["severity"])}) for one in before["issues"])
    return Answer(Became(before["became"]), issues, fault=FaultKind(before["fault"]) if before["fault"] else None)
