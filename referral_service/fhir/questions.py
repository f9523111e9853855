"""What a question of a form says of its answers: of whom it asks, and whether of what was ruled out or is over.

The words are the project's own; they are read in English only. A question that is none of these says nothing.
"""

from __future__ import annotations

import re

from referral_service.referral import Assertion

_KIN = (
    r"famil(?:y|ies|ial)|relatives?|mother|father|parents?|siblings?|brothers?|sisters?|aunts?|uncles?|cousins?"
    r"|grand(?:mother|father|parent)s?|maternal|paternal"
)
_TOLD = r"concern|worr|report|observation|account|description|goal|wish|view|expectation"
_ABOUT = {
    Assertion.FAMILY: (
        _KIN,
        rf"family (?:doctor|physician|practi\w+|medicine|gp|name)|(?:{_KIN})(?:'s?)? (?:{_TOLD})\w*"
        rf"|(?:reported|noticed|observed|described|seen) by (?:\w+ )?(?:{_KIN})",
    ),
    Assertion.NEGATED: (
        r"ruled out|excluded|refuted|dismissed|denie[ds]|absent|negative for|no evidence of|free of",
        r"not|cannot|can't|to be|should be",
    ),
    Assertion.HISTORICAL: (
        r"resolved|no longer|cured|recovered|allerg\w+|adverse (?:drug )?reactions?|intoleranc\w+",
        r"not",
    ),
    Assertion.SUSPECTED: (
        r"suspected|provisional|differential|possible|to be (?:ruled out|excluded)|rule out|exclude",
        r"not",
    ),
}
"""The words that give a stance, and those beside which they do not: "family doctor", "mother's concerns", "not yet
ruled out"."""


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{pattern})(?!\w)", re.IGNORECASE)


_STANCES = [(stance, _words(said), _words(unless)) for stance, (said, unless) in _ABOUT.items()]
_YES, _NO = (
    frozenset({"yes", "y", "present", "positive", "true"}),
    frozenset({"no", "n", "absent", "negative", "false"}),
)
_FIRST = re.compile(r"\s*(\w+)\s*(?:$|[.,;:!(\u2013\u2014-])")
_ASKS = re.compile(r"[\s?]+$")


def stances_of(question: str) -> list[Assertion]:
    """What its words say of whatever is answered."""
    plain = question.replace("\u2019", "'")
    return [stance for stance, said, unless in _STANCES if said.search(plain) and not unless.search(plain)]


def yes_or_no(words: str) -> bool | None:
    """Whether an answer is yes or no, alone or before a sign: "Yes", "No.", "Yes, since 2019"; None if neither."""
    first = _FIRST.match(words)
    said = first[1].lower() if first else ""
    return True if said in _YES else False if said in _NO else None


def statement(question: str) -> str:
    """A question as its answer repeats it; a span in it is one in the question."""
    return _ASKS.sub("", question)
