"""Is a text English, and is it surely about something else? Small word tables, no guess.

``rejected`` needs positive evidence: a word of another field, nothing that might describe a movement, and no word that
nobody foresaw but among words of another field. Everything short of that ends with a human. A part of the body says
nothing by itself ("ulcer of the left foot"), but beside any word that is not surely still it may be a description ("the
foot goes over"), so it is let pass only in a clause with a word of another field or with plain ones. The neck, the
eyelids, the jaw and the voice, where a dystonia often shows first as pain or weakness, always end with a human.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import cache, lru_cache
from itertools import pairwise
from sys import intern

from referral_service.coding.tables import rows_of


class Tongue(StrEnum):
    ENGLISH = "english"
    OTHER = "other"
    UNSURE = "unsure"


_ENGLISH = frozenset({"en", "plain", "place", "known", "other", "part", "watch", "unable"})
_STILL = frozenset({"plain", "place", "other", "part", "number", "known"})
"""Classes of words that describe no movement even beside a part of the body."""
_MANY = 4
_OTHER_ENDINGS = (
    "itis", "oma", "ectomy", "scopy", "uria", "rrhoea", "rrhea", "aemia", "emia", "lithiasis", "cillin", "statin",
    "sartan", "prazole", "formin", "gliptin", "mycin", "plasty", "ostomy", "algia", "penia", "megaly", "gram",
)  # fmt: skip
_ENDS = (
    ("ies", "y"), ("es", ""), ("s", ""), ("ing", ""), ("ing", "e"), ("ed", ""), ("ed", "e"), ("ly", ""), ("y", ""),
)  # fmt: skip


@cache
def classes() -> Mapping[str, str]:
    return {row["word"]: intern(row["class"]) for row in rows_of("words")}


def classes_of(words: Iterable[str]) -> list[str]:
    """A class of ``data/words.tsv``, ``number``, ``foreign`` (letters of another alphabet), or empty when unknown."""
    known = classes()
    return [known.get(word) or _guessed(word) for word in words]


@lru_cache(maxsize=4096)
def _guessed(word: str) -> str:
    if len(word) == 1 or not word.isalpha():
        return "number"
    if not word.isascii():
        return "foreign"
    if word.endswith(_OTHER_ENDINGS) and len(word) > 6:
        return "other"
    known = classes()
    return next((known[stem] for stem in _stems(word) if known.get(stem) in _ENGLISH), "")


def _stems(word: str) -> list[str]:
    """Plural and simple verb endings taken off, a doubled letter before them too."""
    stems = [word[: -len(end)] + back for end, back in _ENDS if word.endswith(end) and len(word) > len(end) + 2]
    return [*stems, *(stem[:-1] for stem in stems if stem[-2:-1] == stem[-1:])]


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


def is_plain(clauses: Sequence[Sequence[str]]) -> bool:
    """English without a word that might describe a movement and mostly known: a remark that adds no reason."""
    kinds = [kind for clause in clauses for kind in clause]
    return kinds.count("") * 2 <= len(kinds) and not any(may_describe(clause) for clause in clauses)


def is_foreseen(sentences: Sequence[Sequence[Sequence[str]]]) -> bool:
    """Whether nothing in a text might describe a movement, given as the classes of its words by sentence and clause.

    A word that nobody foresaw is let pass only among words of another field (in its clause; in its sentence and beside
    medicine, when the text has many of them), never in a clause with a part of the body, and only while they are more.
    """
    unknown, others = (sum(c.count(kind) for s in sentences for c in s) for kind in ("", "other"))
    if unknown > others:
        return False
    return not any(
        may_describe(clause) or ("" in clause and ("part" in clause or not _is_among_others(clause, sentence, others)))
        for sentence in sentences
        for clause in sentence
    )


def _is_among_others(clause: Sequence[str], sentence: Sequence[Sequence[str]], in_text: int) -> bool:
    if "other" in clause or sum(one.count("other") for one in sentence) > 1:
        return True
    return in_text >= _MANY and any("other" in one or "known" in one for one in sentence)


def may_describe(clause: Sequence[str]) -> bool:
    """A foot is still in "ulcer in the foot", not in "foot in" nor in "the foot goes over"."""
    if "watch" in clause:
        return True
    if "unable" in clause and "other" not in clause:
        return True
    if "part" not in clause:
        return False
    return ("part", "place") in pairwise(clause) or ("other" not in clause and not _STILL.issuperset(clause))
