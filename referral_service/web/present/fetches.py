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
    waiting = [row for row in rows if row["ended"] not in ("fetched", "called-off")]
    return [_awaited(row, now) for row in sorted(waiting, key=lambda row: (row["type"] != "Patient", row["name"]))]


def _awaited(row: Row, now: Now) -> Awaited:
    return Awaited(
        what="The patient's record" if row["type"] == "Patient" else f"A {row['type']} that the sender points at",
        host=row["host"],
        tried=now.moment(row["tried_at"]) if row["tried_at"] else None,
        why=WORDS.get(row["fault"] or "", ""),
        then=_THEN[row["ended"]],
    )


_THEN = {
    None: "It is asked again by itself, and the referral decided again with what it says.",
    "refused": "It is not asked again by itself, for it would say the same.",
    "given-up": "It was asked for three days, and is not asked again by itself.",
}
