"""Affirmed, suspected, negated, of the family or past: the method of ConText (Harkema et al. 2009,
doi:10.1016/j.jbi.2009.05.002), with triggers before and after a finding, phrases that only look like triggers, and the
words where a scope ends, all in ``data/triggers.tsv``.

A sentence is swept once forward and once backward, so the cost is linear however many triggers and findings it holds.
Where a list might end or go on ("no fever, dystonia") the finding is marked unclear: a human decides. So is one in a
general statement with nobody in it ("Dystonia is a common manifestation in Wilson's disease"): it says nothing of the
patient, so it is no current indication and yields no code, but it does name dystonia, so it is not something else
either.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from referral_service.coding.lexicon import Entry, Match
from referral_service.coding.scopes import KNOWN, PRESENT, Backward, Forward, triggers_of
from referral_service.coding.text import Sentence
from referral_service.referral import Assertion

_ORDER = ("untaken", "withdrawn", "negated", "family", "historical", "general", "unclear", "suspected")
_MEANS = {
    "untaken": Assertion.NEGATED,
    "withdrawn": Assertion.NEGATED,
    "negated": Assertion.NEGATED,
    "family": Assertion.FAMILY,
    "historical": Assertion.HISTORICAL,
    "general": Assertion.AFFIRMED,
    "unclear": Assertion.SUSPECTED,
    "suspected": Assertion.SUSPECTED,
}
_UNCLEAR = frozenset({"general", "unclear"})
_PERSONS = frozenset({"her", "hers", "him", "his", "my", "your", "our", "this", "mr", "mrs", "ms", "who", "old"})
"""Words that show, beside the triggers for the patient, that a sentence is about somebody."""
_PLAIN = "affirmed:plain"


class Mention(NamedTuple):
    """One finding, drug, site or cause in a text, and how it is meant. ``clear`` is False when that is in doubt."""

    entry: Entry
    start: int
    end: int
    sentence: int
    word: int
    last: int
    assertion: Assertion
    rule: str
    clear: bool = True


def mentions_in(sentence: Sentence, matches: Sequence[Match], number: int) -> list[Mention]:
    """The mentions of one sentence, in order."""
    entries = [match.entry for match in matches if match.entry is not None]
    if not any(entry.is_item for entry in entries):
        return []
    said: dict[int, dict[str, str]] = {}
    Forward(sentence, matches, said).sweep()
    Backward(sentence, matches, said).sweep()
    directions = frozenset().union(*[entry.directions for entry in entries])
    general = _general(sentence, matches) if "general" in directions and "self" not in directions else ""
    mentions = []
    for at, match in enumerate(matches):
        if match.entry is not None and match.entry.is_item:
            assertion, rule, clear = _resolve(said.get(at, {}), directions, general)
            start, end = sentence[match.first].start, sentence[match.last].end
            mentions.append(Mention(match.entry, start, end, number, match.first, match.last, assertion, rule, clear))
    return mentions


def _resolve(said: dict[str, str], directions: frozenset[str], general: str) -> tuple[Assertion, str, bool]:
    """The strongest of what was said of one finding, its rule, and whether it is clear."""
    if not said and not general:
        return Assertion.AFFIRMED, _PLAIN, True
    rules = _settled(said, directions)
    if general:
        rules["general"] = general
    for name in _ORDER:
        if name in rules:
            return _MEANS[name], rules[name], name not in _UNCLEAR
    return Assertion.AFFIRMED, _PLAIN, True


def _settled(said: dict[str, str], directions: frozenset[str]) -> dict[str, str]:
    """What is left once one thing said has undone another."""
    undone = set()
    if PRESENT in said and "withdrawn" not in said:
        undone |= {"negated", "unclear"}
    if "affirmed" in said:  # "father has it, as does he"
        undone.add("family")
    if "recurs" in directions:  # "settled, but recurred this morning"
        undone |= {"historical", "history"}
    rules = {name: rule for name, rule in said.items() if name not in undone}
    if "history" in rules and "current" not in directions and KNOWN not in rules:
        rules.setdefault("historical", rules["history"])
    return rules


def _general(sentence: Sentence, matches: Sequence[Match]) -> str:
    """The rule of a phrase that only textbooks use, in a sentence without a person; else empty."""
    if any(word.text in _PERSONS for word in sentence):
        return ""
    return next(trigger.rule for match in matches for trigger in triggers_of(match, "general"))
