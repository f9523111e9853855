"""One fact -> what it says: findings with their assertion, or that it cannot be read, or is surely something else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from referral_service.coding import words
from referral_service.coding.assertion import Mention, mentions_in
from referral_service.coding.codes import read_code, resolve
from referral_service.coding.concepts import Kind, Meaning, Vocabulary
from referral_service.coding.context import in_context
from referral_service.coding.elsewhere import SILENT, is_plain, other_field
from referral_service.coding.lexicon import Entry, Match, lexicon_of
from referral_service.coding.text import sentences
from referral_service.policy import Policy
from referral_service.referral import Assertion, Evidence, Fact, Place

OWN = frozenset({Place.REASON, Place.REQUEST, Place.REMARK})
"""Where the referral speaks for itself."""
_AROUND = 25
_DISPLAYS, _LONGEST_NAME = 2048, 160
_CONTEXT_OF = {"neck": "neck", "gut": "gut", "drug-context": "drug", "parkinson": "parkinson"}
"""Kinds of ``data/causes.tsv`` -> the context that they give to an ambiguous term."""
_TAKEN_BACK = ("ruled-out", "excluded", "refuted", "dismissed", "withdrawn")
"""How the triggers end that take a diagnosis back."""
_SURE = ("clear-", "certain-", "confident-", "satisfied-", "sure-")
"""How the triggers begin that deny a diagnosis after looking."""
_ORDER = (Assertion.AFFIRMED, Assertion.SUSPECTED, Assertion.HISTORICAL, Assertion.FAMILY, Assertion.NEGATED)


class Found(NamedTuple):
    """One finding of one fact. ``start`` and ``end`` are absent when a code said it."""

    fact: Fact
    expression: str
    meaning: Meaning
    assertion: Assertion
    rule: str
    clear: bool = True
    start: int | None = None
    end: int | None = None
    text: str | None = None
    mention: Mention | None = None

    @property
    def is_current(self) -> bool:
        return self.clear and self.assertion.is_current

    @property
    def is_general(self) -> bool:
        """Said of the condition as such and not of the patient."""
        return self.rule.startswith("general:")

    @property
    def is_withdrawn(self) -> bool:
        """Taken back as a diagnosis, not only absent from an examination."""
        assertion, _, phrase = self.rule.partition(":")
        return assertion == "withdrawn" or (assertion == "negated" and phrase.endswith(_TAKEN_BACK))

    @property
    def evidence(self) -> Evidence:
        return Evidence(
            self.expression, self.meaning.finding, self.assertion, self.rule, self.start, self.end, self.text
        )


@dataclass(frozen=True, slots=True)
class TextReading:
    """``mentions`` also hold drugs, sites and causes; ``other`` is the span of the word that shows another field.

    ``is_plain`` and ``other`` are asked only of a text that names nothing near dystonia.
    """

    text: str
    mentions: tuple[Mention, ...] = ()
    is_foreign: bool = False
    is_plain: bool = False
    other: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class FactReading:
    fact: Fact
    found: tuple[Found, ...] = ()
    text: TextReading | None = None
    is_elsewhere: bool = False

    @property
    def is_foreign(self) -> bool:
        return self.text is not None and self.text.is_foreign


def is_surely_denied(rule: str) -> bool:
    """Whether a finding is denied by who has looked: "I was clear there was no dystonia"."""
    assertion, _, phrase = rule.partition(":")
    return assertion == "negated" and phrase.startswith(_SURE)


def stronger(first: Assertion, second: Assertion | None) -> Assertion:
    """Of two assertions of one finding, the one that says more against a current finding."""
    return first if second is None or _ORDER.index(first) >= _ORDER.index(second) else second


def read_text(text: str, declared: str | None, vocabulary: Vocabulary, policy: Policy) -> TextReading:
    """The mentions of a text in a language that is switched on."""
    if declared is not None and declared.split("-", 1)[0].lower() not in policy.languages:
        return TextReading(text, is_foreign=True)
    lexicon = lexicon_of(vocabulary)
    split = sentences(text)
    matched = [lexicon.matches(sentence) for sentence in split]
    classes = [words.classes_of(word.text for word in sentence) for sentence in split]
    tongue = words.tongue(list(_unread(matched, classes)), declared)
    if tongue is words.Tongue.OTHER or (tongue is words.Tongue.ENGLISH and "en" not in policy.languages):
        return TextReading(text, is_foreign=True)
    mentions = [m for n, (s, f) in enumerate(zip(split, matched, strict=True)) for m in mentions_in(s, f, n)]
    mentions = in_context(text, split, matched, mentions)
    meant = _Meant(text, mentions, vocabulary, policy)
    if any(meaning.kind not in SILENT for mention in mentions for meaning in meant.of(mention.entry)):
        return TextReading(text, tuple(mentions))
    other = other_field(split, matched, meant.of)
    return TextReading(text, tuple(mentions), is_plain=is_plain(split, classes), other=other)


def _unread(matched: Sequence[Sequence[Match]], classes: Sequence[Sequence[str]]) -> Iterator[str]:
    """The classes of the words that are not part of a known phrase: a phrase is English whatever its words are."""
    for found, kinds in zip(matched, classes, strict=True):
        for match in found:
            is_phrase = match.entry is not None and match.last > match.first and bool(match.entry.meanings)
            yield from ("en",) if is_phrase else kinds[match.first : match.last + 1]


def read_fact(fact: Fact, vocabulary: Vocabulary, policy: Policy) -> FactReading:
    if fact.coding is not None:
        return _read_coding(fact, vocabulary, policy)
    text = read_text(fact.text or "", fact.language, vocabulary, policy)
    return _read_words(fact, fact.expression, text, vocabulary, policy)


def _read_coding(fact: Fact, vocabulary: Vocabulary, policy: Policy) -> FactReading:
    """A known code speaks for itself; its display is read for hedges and negation, or when the code is unknown."""
    assert fact.coding is not None
    read = read_code(fact.coding, vocabulary)
    display = _read_display(fact.coding.display, fact.language, vocabulary, policy) if fact.coding.display else None
    spoken = _read_words(fact, f"{fact.expression}.display", display, vocabulary, policy) if display else None
    if read.meaning is None:
        return spoken or FactReading(fact)
    meaning = resolve(read.meaning, policy.contestable, vocabulary)
    said = _asserted(fact, read.stance)
    found = Found(fact, fact.expression, meaning, said, read.rule if said is not fact.stance else f"stance:{said}")
    named = tuple(f for f in spoken.found if f.meaning.kind is Kind.DYSTONIA) if spoken else ()
    if meaning.kind is Kind.DYSTONIA and named:
        found = _hedged(found, named)
        named = tuple(f for f in named if f.meaning.code != meaning.code and not f.meaning.generic)
    elsewhere = meaning.kind is Kind.ELSEWHERE and not named
    unlike = spoken.found if spoken and spoken.is_elsewhere and meaning.kind is Kind.DYSTONIA else ()
    return FactReading(fact, (found, *named, *unlike), display, elsewhere)


class _Ground:
    """A vocabulary and a policy as one key of a cache, compared by identity."""

    __slots__ = ("policy", "vocabulary")

    def __init__(self, vocabulary: Vocabulary, policy: Policy) -> None:
        self.vocabulary, self.policy = vocabulary, policy

    def __hash__(self) -> int:
        return hash((id(self.vocabulary), id(self.policy)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Ground) and self.vocabulary is other.vocabulary and self.policy is other.policy


def _read_display(display: str, declared: str | None, vocabulary: Vocabulary, policy: Policy) -> TextReading:
    """Senders name a code by the same words each time; only what they write themselves is read anew."""
    if len(display) > _LONGEST_NAME:
        return read_text(display, declared, vocabulary, policy)
    return _name_of_code(display, declared, _Ground(vocabulary, policy))


@lru_cache(_DISPLAYS)
def _name_of_code(display: str, declared: str | None, ground: _Ground) -> TextReading:
    return read_text(display, declared, ground.vocabulary, ground.policy)


def _hedged(found: Found, named: Sequence[Found]) -> Found:
    """The code with what all of its display says: "Suspected dystonia", "No dystonia"."""
    mildest = min(named, key=lambda f: _ORDER.index(f.assertion))
    if mildest.assertion is Assertion.AFFIRMED or stronger(found.assertion, mildest.assertion) is found.assertion:
        return found
    return found._replace(assertion=mildest.assertion, rule=mildest.rule, clear=mildest.clear)


def _asserted(fact: Fact, suffix: Assertion | None) -> Assertion:
    family = Assertion.FAMILY if fact.place is Place.FAMILY else None
    return stronger(stronger(stronger(Assertion.AFFIRMED, suffix), fact.stance), family)


def _read_words(fact: Fact, expression: str, text: TextReading, vocabulary: Vocabulary, policy: Policy) -> FactReading:
    found = tuple(_found_in(fact, expression, text, vocabulary, policy))
    if text.other is None:
        return FactReading(fact, found, text)
    start, end = text.other
    if not any(f.meaning.kind is Kind.ELSEWHERE for f in found):
        meaning = vocabulary.findings["other-reason"]
        other = Found(
            fact, expression, meaning, _asserted(fact, None), "text:other-field", True, start, end, text.text[start:end]
        )
        found = (*found, other)
    return FactReading(fact, found, text, is_elsewhere=True)


def _found_in(
    fact: Fact, expression: str, text: TextReading, vocabulary: Vocabulary, policy: Policy
) -> Iterator[Found]:
    stance = _asserted(fact, None)
    meant = _Meant(text.text, text.mentions, vocabulary, policy)
    for mention in text.mentions:
        if not mention.entry.meanings:
            continue
        assertion = stronger(mention.assertion, stance)
        rule = mention.rule if assertion is mention.assertion else f"stance:{assertion}"
        for meaning in meant.of(mention.entry):
            yield Found(
                fact, expression, meaning, assertion, rule, mention.clear or assertion is not mention.assertion,
                mention.start, mention.end, text.text[mention.start : mention.end], mention,
            )  # fmt: skip


class _Meant:
    """What the phrases of one text stand for: an ambiguous abbreviation only beside words that support it."""

    def __init__(self, text: str, mentions: Sequence[Mention], vocabulary: Vocabulary, policy: Policy) -> None:
        self.vocabulary, self.policy = vocabulary, policy
        self.contexts = {_CONTEXT_OF[kind] for m in mentions for kind, _ in m.entry.causes if kind in _CONTEXT_OF}
        if any(mention.entry.drug is not None and mention.entry.drug.strong for mention in mentions):
            self.contexts.add("drug")
        if any(_moves_the_head(mention, text) for mention in mentions):
            self.contexts.add("neck")
        self.known: dict[int, list[Meaning]] = {}

    def of(self, entry: Entry) -> list[Meaning]:
        """The same phrase means the same throughout a text."""
        phrase = id(entry)
        if phrase not in self.known:
            self.known[phrase] = self._meant(entry.meanings)
        return self.known[phrase]

    def _meant(self, meanings: Sequence[Meaning]) -> list[Meaning]:
        if any(meaning.context for meaning in meanings):
            fits = [meaning for meaning in meanings if meaning.context in self.contexts]
            meanings = fits or [meaning for meaning in meanings if not meaning.context]
        if "parkinson" in self.contexts and any(_is_bare_dyskinesia(m) for m in meanings):
            meanings = [self.vocabulary.findings["levodopa-dyskinesia"]]
        resolved = [resolve(meaning, self.policy.contestable, self.vocabulary) for meaning in meanings]
        first = {meaning.finding: meaning for meaning in reversed(resolved)}
        return list(reversed(first.values()))


def _moves_the_head(mention: Mention, text: str) -> bool:
    """A movement is described and the head or neck named within a few words."""
    if not any(meaning.kind is Kind.MOVEMENT for meaning in mention.entry.meanings):
        return False
    around = text[max(mention.start - _AROUND, 0) : mention.end + _AROUND].lower()
    return any(word in around for word in ("head", "neck", "chin"))


def _is_bare_dyskinesia(meaning: Meaning) -> bool:
    """Dyskinesia alone is G24.9, but beside Parkinson's disease it is that of levodopa (ICD-10-CM G20.B, Excludes1)."""
    return meaning.generic and meaning.contested
