"""What is waited for from a sender's EHR, and what asking for it has brought so far, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from referral_service.ehr.faults import WORDS
from referral_service.web.present.words import Moment, Now

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Awaited:
    """``tried`` is None when the EHR was not asked yet, ``then`` what happens next by itself."""

    what: str
    host: str
    tried: Moment | None
    why: str
    then: str


def awaited(rows: Iterable[Row], now: Now) -> list[Awaited]:
    """The patient first; what came, or is no longer needed, is left out."""
    waiting = [row for row in rows if row["ended"] not in _OVER]
    return [_awaited(row, now) for row in sorted(waiting, key=lambda row: (row["type"] != "Patient", row["name"]))]


def awaited_files(files: Iterable[tuple[str, Row | None]], now: Now) -> list[Awaited]:
    """Each by its title; they are fetched for a referral that has ended too."""
    waiting = [(title, row) for title, row in files if row is not None and row["ended"] not in _OVER]
    return [_told(row, f"The file “{title}”", _THEN_OF_FILE, now) for title, row in waiting]


def _awaited(row: Row, now: Now) -> Awaited:
    what = "The patient's record" if row["type"] == "Patient" else f"A {row['type']} that the sender points at"
    return _told(row, what, _THEN, now)


def _told(row: Row, what: str, then: Mapping[str | None, str], now: Now) -> Awaited:
    return Awaited(
        what=what,
        host=row["host"],
        tried=now.moment(row["tried_at"]) if row["tried_at"] else None,
        why=WORDS.get(row["fault"] or "", ""),
        then=then[row["ended"]],
    )


_OVER = ("fetched", "called-off")
_THEN: Mapping[str | None, str] = {
    None: "It is asked again by itself, and the referral decided again with what it says.",
    "refused": "It is not asked again by itself, for it would say the same.",
    "given-up": "It was asked for three days, and is not asked again by itself.",
}
_THEN_OF_FILE: Mapping[str | None, str] = {**_THEN, None: "It is asked again by itself."}
