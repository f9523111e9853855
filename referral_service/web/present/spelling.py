"""British or American spelling of our own words, as the site's policy asks; never of anything that was sent."""

from __future__ import annotations

import re
from collections.abc import Mapping

AMERICAN: Mapping[str, str] = {
    "cancelled": "canceled",
    "organisation": "organization",
    "paediatric": "pediatric",
    "practise": "practice",
    "prioritised": "prioritized",
    "recognised": "recognized",
}
"""Pages are written in British spelling; each word of it that differs stands here with its American one."""

_WORDS = re.compile("|".join(rf"{word}" for word in AMERICAN), re.IGNORECASE)


def spelled(words: str, spelling: str) -> str:
    """Our own words as ``british`` or ``american`` has them; a capital at the beginning stays."""
    return _WORDS.sub(_american, words) if spelling == "american" else words


def _american(match: re.Match[str]) -> str:
    found = AMERICAN[match[0].lower()]
    return found.capitalize() if match[0][0].isupper() else found
