"""Everything that is looked for in text, in one trie of words: terms, triggers, drugs, sites, causes.

Longest match from each word, so that "no family history of" wins over "no" and "biliary dyskinesia" over "dyskinesia".
A long word one slip away from a word of dystonia (one letter missing, added, changed or swapped) is read as that word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from typing import NamedTuple

from referral_service.coding.concepts import NUMBER, YEAR, Kind, Meaning, Vocabulary, words_of
from referral_service.coding.tables import table
from referral_service.coding.text import LOOKS_BACK, LOOKS_FORWARD, Sentence, is_number, is_year
from referral_service.coding.words import is_known_word

_TYPO_FROM, _TYPO_TO = 8, 24
"""Shorter words are too easily another word; longer ones are none."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """Words that say how a finding is meant; ``reach`` is how many words away it still holds, 0 for the clause."""

    assertion: str
    direction: str
    reach: int
    rule: str


@dataclass(frozen=True, slots=True)
class Drug:
    name: str
    atc: str
    strong: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """All that one phrase can be."""

    meanings: tuple[Meaning, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    drug: Drug | None = None
    site: tuple[str, str] | None = None
    causes: tuple[tuple[str, str], ...] = ()
    is_item: bool = False
    """Something that can be affirmed or negated."""
    directions: frozenset[str] = frozenset()
    """Those of its triggers."""
    codes: frozenset[str] = frozenset()
    """Those of the dystonias that it can mean."""


@dataclass(slots=True)
class Node:
    below: dict[str, Node] = field(default_factory=dict)
    entry: Entry | None = None


class Match(NamedTuple):
    """``entry`` at words ``first`` to ``last`` (inclusive) of a sentence; a word that means nothing has no entry."""

    first: int
    last: int
    entry: Entry | None


_new = tuple.__new__


class Lexicon:
    """The trie of one vocabulary and the package's tables."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.root = Node()
        for term, meanings in vocabulary.terms.items():
            self._add(tuple(term.split()), meanings=meanings)
        _add_tables(self._add)
        self._typos = _typo_index(vocabulary.terms)
        self._meant = lru_cache(maxsize=4096)(self._look_up)
        self._opens = lru_cache(maxsize=8192)(self._opened_by)

    def _add(self, words: tuple[str, ...], **parts: object) -> None:
        node = self.root
        for word in words:
            node = node.below.setdefault(NUMBER if is_number(word) else word, Node())
        node.entry = _merged(node.entry or Entry(), parts)

    def matches(self, sentence: Sentence) -> list[Match]:
        """The sentence from left to right as longest matches and the words between them."""
        found: list[Match] = []
        after = 0
        for at, word in enumerate(sentence):
            if at < after:
                continue
            node = self._opens(word.text)
            entry, last = (None, at) if node is None else self._longest(sentence, at, node)
            found.append(_new(Match, (at, last, entry)))
            after = last + 1
        return found

    def _opened_by(self, word: str) -> Node | None:
        return self.root.below.get(word) or self._read_as(self.root, word)

    def _longest(self, sentence: Sentence, at: int, node: Node) -> tuple[Entry | None, int]:
        entry, last = node.entry, at
        for here in range(at + 1, len(sentence) if node.below else 0):
            text, _, _, before = sentence[here]
            if before and before.strip(",/"):
                break
            below = node.below.get(text) or self._read_as(node, text)
            if below is None:
                break
            node = below
            if node.entry is not None and not _crosses_comma(sentence, at, here, node.entry):
                entry, last = node.entry, here
            if not node.below:
                break
        return entry, last

    def _read_as(self, node: Node, word: str) -> Node | None:
        """A word that is not there as written: a number, or a slip of the keys."""
        if is_number(word):
            return (node.below.get(YEAR) if is_year(word) else None) or node.below.get(NUMBER)
        if _TYPO_FROM <= len(word) <= _TYPO_TO:
            meant = self._meant(word)
            return node.below.get(meant) if meant else None
        return None

    def _look_up(self, word: str) -> str | None:
        typos = self._typos
        if not typos.might_mean(word) or word in typos.others or (word not in typos.words and is_known_word(word)):
            return None
        return typos.meant(word)


def _crosses_comma(sentence: Sentence, first: int, last: int, entry: Entry) -> bool:
    """Only names are inverted with a comma ("dystonia, cervical"); triggers are not."""
    return not entry.meanings and any(
        sentence[at].before for at in range(first + 1, last + 1) if "," in sentence[at].before
    )


def _merged(entry: Entry, parts: Mapping[str, object]) -> Entry:
    joined = {name: getattr(entry, name) + value if isinstance(value, tuple) and name != "site" else value
              for name, value in parts.items()}  # fmt: skip
    whole = replace(entry, **joined)  # type: ignore[arg-type]
    is_item = bool(whole.meanings or whole.drug or whole.site or whole.causes)
    directions = frozenset(trigger.direction for trigger in whole.triggers)
    codes = frozenset(meaning.code for meaning in whole.meanings if meaning.kind is Kind.DYSTONIA)
    return replace(whole, is_item=is_item, directions=directions, codes=codes)


def _words(phrase: str) -> tuple[str, ...]:
    marks = {LOOKS_FORWARD, LOOKS_BACK}
    spaced = phrase if phrase in marks else phrase.replace("?", f" {LOOKS_FORWARD} ")
    return tuple(word for part in spaced.split() for word in ((part,) if part in marks else words_of(part)))


def _add_tables(add: Callable[..., None]) -> None:
    for row in table("triggers"):
        name = "-".join(_words(row["phrase"])).replace(LOOKS_FORWARD, "question").replace(LOOKS_BACK, "question")
        reach = int(row["reach"] or 0)
        rule = f"{row['assertion']}:{name}"
        trigger = Trigger(row["assertion"], row["direction"], reach, rule)
        add(_words(row["phrase"]), triggers=(trigger,))
        if row["direction"] == "relative":  # "brothers", "wife's"
            add(_words(f"{row['phrase']}s"), triggers=(trigger,))
    for row in table("drugs"):
        add(words_of(row["name"]), drug=Drug(row["drug"], row["atc"], row["strength"] == "strong"))
    for row in table("sites"):
        if row["system"] == "text":
            add(words_of(row["term"]), site=(row["region"], row["code"]))
    for row in table("causes"):
        add(words_of(row["term"]), causes=((row["kind"], row["value"]),))


@dataclass(frozen=True, slots=True)
class Typos:
    """Words with one letter left out -> the words they come from (Damerau 1964, doi:10.1145/363958.363994)."""

    words: frozenset[str]
    others: frozenset[str]
    """Words of other fields that are no slip, however near: "dystocia"."""
    shorter: Mapping[str, tuple[str, ...]]
    edges: frozenset[str]
    """The first and the last three letters of the words that are meant."""

    def might_mean(self, word: str) -> bool:
        """One slip in eight letters or more leaves the first or the last three as they were: most words end here."""
        return word[:3] in self.edges or word[-3:] in self.edges

    def meant(self, word: str) -> str | None:
        for short in (word, *_shorter(word)):
            for target in self.shorter.get(short, ()):
                if target != word and _is_one_slip(word, target):
                    return target
        return None


def _typo_index(terms: Mapping[str, tuple[Meaning, ...]]) -> Typos:
    every = frozenset(word for term in terms for word in term.split())
    others = frozenset(
        word
        for term, meanings in terms.items()
        if all(meaning.kind is Kind.ELSEWHERE for meaning in meanings)
        for word in term.split()
    )
    meant = _of_dystonia(terms)
    shorter: dict[str, tuple[str, ...]] = {}
    for word in meant:
        for short in {word, *_shorter(word)}:
            shorter[short] = (*shorter.get(short, ()), word)
    return Typos(
        every, others - set(meant), shorter, frozenset(edge for word in meant for edge in (word[:3], word[-3:]))
    )


def _of_dystonia(terms: Mapping[str, tuple[Meaning, ...]]) -> list[str]:
    names = (
        term for term, meanings in terms.items() if any(m.kind in (Kind.DYSTONIA, Kind.NEIGHBOUR) for m in meanings)
    )
    return sorted({word for term in names for word in term.split() if len(word) >= _TYPO_FROM})


def _shorter(word: str) -> list[str]:
    return [word[:at] + word[at + 1 :] for at in range(len(word))]


def _is_one_slip(word: str, target: str) -> bool:
    if len(word) != len(target):
        return True
    wrong = [at for at in range(len(word)) if word[at] != target[at]]
    if len(wrong) == 1:
        return True
    return (
        len(wrong) == 2
        and wrong[1] == wrong[0] + 1
        and word[wrong[0]] + word[wrong[1]] == target[wrong[1]] + target[wrong[0]]
    )


@lru_cache(maxsize=4)
def lexicon_of(vocabulary: Vocabulary) -> Lexicon:
    return Lexicon(vocabulary)


@cache
def sites_by_code() -> Mapping[str, tuple[str, str]]:
    """SNOMED CT body structures -> (region, ICD-10-CM code)."""
    return {row["term"]: (row["region"], row["code"]) for row in table("sites") if row["system"] != "text"}
