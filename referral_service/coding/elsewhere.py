"""Is a text surely about another field of medicine? What ``words`` says of single words, put together by clause."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from referral_service.coding import words
from referral_service.coding.concepts import Kind, Meaning
from referral_service.coding.lexicon import Entry, Match
from referral_service.coding.text import Sentence, Word

SILENT = frozenset({Kind.ELSEWHERE, Kind.CONTEXT})
_JOINS = frozenset(
    ["and", "but", "with", "when", "which", "while", "whilst", "or", "then", "who", "because", "after", "since", "if"]
)
_Marked = list[tuple[Word, str]]


def other_field(
    split: Sequence[Sentence],
    matched: Sequence[Sequence[Match]],
    meant: Callable[[Entry], list[Meaning]],
) -> tuple[int, int] | None:
    """The span of the first word that shows another field, in a text of which nothing points to dystonia.

    ``meant`` says what a phrase stands for in this text.
    """
    marked = [list(_marked(sentence, found, meant)) for sentence, found in zip(split, matched, strict=True)]
    if not words.is_foreseen([_clauses(sentence) for sentence in marked]):
        return None
    first = next((word for sentence in marked for word, kind in sentence if kind == "other"), None)
    return (first.start, first.end) if first is not None else None


def is_plain(split: Sequence[Sentence], classes: Sequence[Sequence[str]]) -> bool:
    """Whether a text adds no reason of its own; ``classes`` are those of its words."""
    marked = (list(zip(sentence, kinds, strict=True)) for sentence, kinds in zip(split, classes, strict=True))
    return words.is_plain([clause for sentence in marked for clause in _clauses(sentence)])


def _marked(
    sentence: Sentence, found: Sequence[Match], meant: Callable[[Entry], list[Meaning]]
) -> Iterator[tuple[Word, str]]:
    """The words that say something, each with its class; a phrase of another field counts as one word."""
    for match in found:
        kinds = {meaning.kind for meaning in meant(match.entry)} if match.entry is not None else set()
        inside = sentence[match.first : match.last + 1]
        if Kind.ELSEWHERE in kinds:
            yield inside[0]._replace(end=inside[-1].end), "other"
        elif Kind.CONTEXT not in kinds:
            yield from zip(inside, words.classes_of(word.text for word in inside), strict=True)


def _clauses(marked: _Marked) -> list[list[str]]:
    """The classes of a sentence's words, cut at signs and at words that join."""
    clauses: list[list[str]] = [[]]
    for word, kind in marked:
        if clauses[-1] and (word.before.strip("/") or word.text in _JOINS):
            clauses.append([])
        clauses[-1].append(kind)
    return clauses
