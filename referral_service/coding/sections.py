"""Letters have headings, and what stands under "Family history" or "Past medical history" is meant so.

The headings are ``data/headings.tsv``. A section runs to the next heading or, when its text begins on the heading's own
line, to the end of that line.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from enum import StrEnum
from functools import cache

from referral_service.coding.tables import table


class Section(StrEnum):
    FAMILY = "family"
    PAST = "past"
    OTHER = "other"


@cache
def _headings() -> tuple[re.Pattern[str], dict[str, Section]]:
    known = {row["heading"]: Section(row["section"]) for row in table("headings")}
    names = "|".join(sorted((re.escape(name) for name in known), key=len, reverse=True))
    start = r"(?:^|(?<=[.;]))[ \t]*(?:[-*\u2022][ \t]*)?"
    return re.compile(rf"{start}(?P<name>{names})[ \t]*(?:(?P<inline>:|[-\u2013\u2014](?=\s))|$)", re.I | re.M), known


class Sections:
    """The sections of one text, by place."""

    def __init__(self, text: str) -> None:
        self.starts: list[int] = []
        self.kinds: list[Section] = []
        if ":" in text or "\n" in text:
            self._find(text)

    def _find(self, text: str) -> None:
        pattern, known = _headings()
        for match in pattern.finditer(text):
            self._begin(match.start("name"), known[match["name"].lower()])
            end = text.find("\n", match.end()) if match["inline"] else -1
            if end >= 0:
                self._begin(end, Section.OTHER)

    def _begin(self, at: int, kind: Section) -> None:
        while self.starts and self.starts[-1] >= at:
            self.starts.pop()
            self.kinds.pop()
        self.starts.append(at)
        self.kinds.append(kind)

    def at(self, place: int) -> Section:
        index = bisect_right(self.starts, place)
        return self.kinds[index - 1] if index else Section.OTHER
