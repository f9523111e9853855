"""Is a text English, and is it surely about something else? Small word tables, no guess.

``rejected`` needs positive evidence: words of another field, nothing that might describe a movement, and no word that
nobody foresaw beyond a small share. Everything short of that ends with a human.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cache, lru_cache

from referral_service.coding.tables import table


class Tongue(StrEnum):
    ENGLISH = "english"
    OTHER = "other"
    UNSURE = "unsure"


_ENGLISH = frozenset({"en", "known", "other", "watch"})
_OTHER_ENDINGS = (
    "itis", "oma", "ectomy", "scopy", "uria", "rrhoea", "rrhea", "aemia", "emia", "lithiasis", "cillin", "statin",
    "sartan", "prazole", "formin", "gliptin", "mycin", "plasty", "ostomy", "algia", "penia", "megaly", "gram",
)  # fmt: skip
_SHARE = 4
"""One unknown word is let pass for so many words of another field."""


@cache
def classes() -> Mapping[str, str]:
    return {row["word"]: row["class"] for row in table("words")}


@lru_cache(maxsize=4096)
def class_of(word: str) -> str:
    """``en``, ``known``, ``other``, ``watch``, ``number``, a language, ``foreign`` (letters), or empty when unknown."""
    known = classes()
    if word in known:
        return known[word]
    if not word.isascii():
        return "foreign"
    if any(letter.isdigit() for letter in word):
        return "number"
    if word.endswith(_OTHER_ENDINGS) and len(word) > 6:
        return "other"
    return next((known[stem] for stem in _stems(word) if known.get(stem) in _ENGLISH), "")


def _stems(word: str) -> tuple[str, ...]:
    """Plural and simple verb endings taken off."""
    ends = [("ies", "y"), ("es", ""), ("s", ""), ("ing", ""), ("ing", "e"), ("ed", ""), ("ed", "e"), ("ly", "")]
    return tuple(word[: -len(end)] + back for end, back in ends if word.endswith(end) and len(word) > len(end) + 2)


def is_known_word(word: str) -> bool:
    return bool(class_of(word))


def tongue(words: Sequence[str], declared: str | None) -> Tongue:
    """Which language it is, whatever was declared: a wrong declaration must not carry text past its negation."""
    kinds = [class_of(word) for word in words]
    english = sum(kind in _ENGLISH for kind in kinds)
    foreign = sum(bool(kind) and kind not in _ENGLISH and kind != "number" for kind in kinds)
    if foreign > english or (foreign and foreign == english and declared is None):
        return Tongue.OTHER
    if english or declared:
        return Tongue.ENGLISH
    return Tongue.UNSURE


def other_word(words: Sequence[str]) -> int | None:
    """The first word of another field when the words are surely about something else, else None."""
    kinds = [class_of(word) for word in words]
    others = [at for at, kind in enumerate(kinds) if kind == "other"]
    unknown = sum(not kind or (kind not in _ENGLISH and kind != "number") for kind in kinds)
    if not others or "watch" in kinds or unknown * _SHARE > len(others):
        return None
    return others[0]


def is_plain(words: Sequence[str]) -> bool:
    """English without a word that might describe a movement and mostly known: a remark that adds no reason."""
    kinds = [class_of(word) for word in words]
    unknown = sum(not kind for kind in kinds)
    return "watch" not in kinds and unknown * 2 <= len(kinds)
