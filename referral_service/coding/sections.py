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
    r"^[ \t]*(?:[-*\u2022][ \t]*)?(?P<name>[A-Za-z][A-Za-z/ ]{0,39}?)[ \t]*"
    r"(?:(?P<inline>[-\u2013\u2014](?=\s))|$)",
    re.MULTILINE,
)
"""What may be a heading without a colon: a few words that fill a line, or begin it before a dash."""
_LONGEST = 40
_NOTHING = re.compile(
    r"\s*(?:nil|none|no|unremarkable|negative|neg|nad|non-?contributory|not known|unknown|n/a|nothing)\b[^.;\n]*", re.I
)
"""An answer under a heading that ends with its own sentence: "FH: nil of note. Cervical dystonia."."""


@cache
def _headings() -> Mapping[str, Section]:
    return {row["heading"]: Section(row["section"]) for row in table("headings")}


def _before_colons(text: str, known: Mapping[str, Section]) -> list[tuple[int, int, str, bool]]:
    """Headings that end with a colon, wherever they stand in a line: the longest that is known."""
    found = []
    for colon in re.finditer(":", text):
        words = list(re.finditer(r"\S+", text[max(colon.start() - _LONGEST, 0) : colon.start()]))
        base = max(colon.start() - _LONGEST, 0)
        for first in words[-5:]:
            name = " ".join(text[base + first.start() : colon.start()].split())
            if name.lower() in known:
                found.append((base + first.start(), colon.end(), name, True))
                break
    return found


class Sections:
    """The sections of one text, by place."""

    def __init__(self, text: str) -> None:
        self.starts: list[int] = []
        self.kinds: list[Section] = []
        if ":" in text or "\n" in text:
            self._find(text)

    def _find(self, text: str) -> None:
        known = _headings()
        found = [(m.start("name"), m.end(), m["name"], bool(m["inline"])) for m in _LINE.finditer(text)]
        found += _before_colons(text, known)
        for start, end, name, is_inline in sorted(found):
            kind = known.get(name.lower())
            if kind is None:
                continue
            self._begin(start, kind)
            if is_inline:
                nothing = _NOTHING.match(text, end)
                line = text.find("\n", end)
                stop = nothing.end() if nothing else line if line >= 0 else len(text)
                self._begin(stop, Section.OTHER)

    def _begin(self, at: int, kind: Section) -> None:
        while self.starts and self.starts[-1] >= at:
            self.starts.pop()
            self.kinds.pop()
        self.starts.append(at)
        self.kinds.append(kind)

    def at(self, place: int) -> Section:
        index = bisect_right(self.starts, place)
        return self.kinds[index - 1] if index else Section.OTHER
