"""Letters have headings, and what stands under "Family history" or "Past medical history" is meant so.

The headings are ``data/headings.tsv``. A section runs to the next heading or, when its text begins on the heading's own
line, to the end of that line.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from enum import StrEnum
from functools import cache

from referral_service.coding.tables import table


class Section(StrEnum):
    FAMILY = "family"
    PAST = "past"
    OTHER = "other"


_LINE = re.compile(
    r"(?:^|(?<=[.;]))[ \t]*(?:[-*\u2022][ \t]*)?(?P<name>[A-Za-z][A-Za-z/ ]{0,39}?)[ \t]*"
    r"(?:(?P<inline>:|[-\u2013\u2014](?=\s))|$)",
    re.MULTILINE,
)
"""What may be a heading: a few words that begin a line or a sentence and end it, or with a colon or a dash."""


@cache
def _headings() -> Mapping[str, Section]:
    return {row["heading"]: Section(row["section"]) for row in table("headings")}


class Sections:
    """The sections of one text, by place."""

    def __init__(self, text: str) -> None:
        self.starts: list[int] = []
        self.kinds: list[Section] = []
        if ":" in text or "\n" in text:
            self._find(text)

    def _find(self, text: str) -> None:
        known = _headings()
        for match in _LINE.finditer(text):
            kind = known.get(match["name"].lower())
            if kind is None:
                continue
            self._begin(match.start("name"), kind)
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
