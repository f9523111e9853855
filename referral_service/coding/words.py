"""Is a text English, and is it surely about something else? Small word tables, no guess.

``rejected`` needs positive evidence: a word of another field, nothing that might describe a movement, and no word that
nobody foresaw. Everything short of that ends with a human. A part of the body says nothing by itself ("ulcer of the
left foot"), but beside any word that is not surely still it may be a description ("the foot goes over"), so it is let
pass only among words of another field and plain ones. The neck, the eyelids, the jaw and the voice, where a dystonia
often shows first as pain or weakness, always end with a human.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import cache, lru_cache
from itertools import pairwise

from referral_service.coding.tables import table


class Tongue(StrEnum):
    ENGLISH = "english"
    OTHER = "other"
    UNSURE = "unsure"


_ENGLISH = frozenset({"en", "plain", "place", "known", "other", "part", "watch"})
_FORESEEN = _ENGLISH | {"number"}
_STILL = frozenset({"plain", "place", "other", "part", "number"})
"""Classes of words that describe no movement even beside a part of the body."""
_OTHER_ENDINGS = (
    "itis", "oma", "ectomy", "scopy", "uria", "rrhoea", "rrhea", "aemia", "emia", "lithiasis", "cillin", "statin",
    "sartan", "prazole", "formin", "gliptin", "mycin", "plasty", "ostomy", "algia", "penia", "megaly", "gram",
)  # fmt: skip
_ENDS = (("ies", "y"), ("es", ""), ("s", ""), ("ing", ""), ("ing", "e"), ("ed", ""), ("ed", "e"), ("ly", ""))


@cache
def classes() -> Mapping[str, str]:
    return {row["word"]: row["class"] for row in table("words")}


def classes_of(words: Iterable[str]) -> list[str]:
    """A class of ``data/words.tsv``, ``number``, ``foreign`` (letters of another alphabet), or empty when unknown."""
    known = classes()
    return [known.get(word) or _guessed(word) for word in words]


@lru_cache(maxsize=4096)
def _guessed(word: str) -> str:
    if not word.isascii():
        return "foreign"
    if any(letter.isdigit() for letter in word):
        return "number"
    if word.endswith(_OTHER_ENDINGS) and len(word) > 6:
        return "other"
    known = classes()
    return next((known[stem] for stem in _stems(word) if known.get(stem) in _ENGLISH), "")


def _stems(word: str) -> list[str]:
    """Plural and simple verb endings taken off."""
    return [word[: -len(end)] + back for end, back in _ENDS if word.endswith(end) and len(word) > len(end) + 2]


def is_known_word(word: str) -> bool:
    return bool(classes_of([word])[0])


def tongue(kinds: Sequence[str], declared: str | None) -> Tongue:
    """Which language it is, whatever was declared: a wrong declaration must not carry text past its negation."""
    counts = Counter(kinds)
    english = sum(counts[kind] for kind in _ENGLISH)
    foreign = len(kinds) - english - counts["number"] - counts[""]
    if foreign > english or (foreign and foreign == english and declared is None):
        return Tongue.OTHER
    if english or declared:
        return Tongue.ENGLISH
    return Tongue.UNSURE


def first_of_another_field(kinds: Sequence[str]) -> int | None:
    """The first word of another field when the words are surely about something else, else None."""
    return kinds.index("other") if "other" in kinds and is_foreseen(kinds) else None


def is_foreseen(kinds: Sequence[str]) -> bool:
    """Every word is known English and none might describe a movement; also true of no words."""
    return _FORESEEN.issuperset(kinds) and not _may_describe(kinds)


def is_plain(kinds: Sequence[str]) -> bool:
    """English without a word that might describe a movement and mostly known: a remark that adds no reason."""
    return kinds.count("") * 2 <= len(kinds) and not _may_describe(kinds)


def _may_describe(kinds: Sequence[str]) -> bool:
    """A foot is still in "ulcer in the foot", not in "foot in" nor in "the foot goes over"."""
    if "watch" in kinds:
        return True
    return "part" in kinds and (not _STILL.issuperset(kinds) or ("part", "place") in pairwise(kinds))
