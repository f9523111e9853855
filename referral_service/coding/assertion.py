"""Affirmed, suspected, negated, of the family or past: the method of ConText (Harkema et al. 2009,
doi:10.1016/j.jbi.2009.05.002), with triggers before and after a finding, phrases that only look like triggers, and the
words where a scope ends, all in ``data/triggers.tsv``.

A sentence is swept once forward and once backward, so the cost is linear however many triggers and findings it holds.
Where a list might end or go on ("no tremor, dystonia of the neck") the finding is marked unclear: a human decides.
So is one in a general statement with nobody in it ("Dystonia is a common manifestation in Wilson's disease"): it says
nothing of the patient, so it is no current indication and yields no code, but it does name dystonia, so it is not
something else either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from referral_service.coding.lexicon import Entry, Match, Trigger
from referral_service.coding.text import LOOKS_BACK, Sentence
from referral_service.referral import Assertion

_ORDER = ("withdrawn", "negated", "family", "historical", "general", "unclear", "suspected")
_PERSONS = frozenset({"her", "hers", "him", "his", "my", "your", "our", "this", "mr", "mrs", "ms", "who", "old"})
"""Words that show, beside the triggers for the patient, that a sentence is about somebody."""
_KNOWN = "known"
"""What was diagnosed years ago is there still."""
_UNTAKEN = "untaken"
"""Said only of a medicine: "never on neuroleptics"."""
_LABELS = frozenset({"diagnosis", "diagnosed", "diagnoses", "dx", "label", "labelled", "labeled"})
_UNCLEAR = {"general": Assertion.AFFIRMED, "unclear": Assertion.SUSPECTED}
_PLAIN = "affirmed:plain"
_ENDS, _GOES_ON = frozenset({"stop", "self"}), frozenset({"join", "after"})
_AFTER_REACH = 6
_BEFORE_REACH = 14
_CLOSE = frozenset({"like", "v", "vs", "versus", "possible", "possibly", "probable", "probably", "likely", "considered",
                    "suspected", "nil", "denied", "negative", "absent", "tbc", "provisional", "uncertain"})  # fmt: skip


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


@dataclass(slots=True)
class _Active:
    rule: str
    reach: int
    until: int


@dataclass(slots=True)
class _Segment:
    """What stands between two commas or stronger signs."""

    items: int = 0
    others: int = 0
    closes: bool = False
    starts_with_item: bool = False
    first: bool = True

    @property
    def is_bare(self) -> bool:
        return self.items > 0 and self.others <= 1


def mentions_in(sentence: Sentence, matches: Sequence[Match], number: int) -> list[Mention]:
    """The mentions of one sentence, in order."""
    if not any(match.entry is not None and match.entry.is_item for match in matches):
        return []
    said: dict[int, dict[str, str]] = {}
    _Forward(sentence, matches, said).sweep()
    _Backward(sentence, matches, said).sweep()
    directions = frozenset().union(*(match.entry.directions for match in matches if match.entry is not None))
    current = "current" in directions
    general = _general(sentence, matches) if "general" in directions and "self" not in directions else ""
    mentions = []
    for at, match in enumerate(matches):
        if match.entry is not None and match.entry.is_item:
            assertion, rule, clear = _resolve(said.get(at, {}), current, general)
            start, end = sentence[match.first].start, sentence[match.last].end
            mentions.append(Mention(match.entry, start, end, number, match.first, match.last, assertion, rule, clear))
    return mentions


def _resolve(rules: dict[str, str], current: bool, general: str) -> tuple[Assertion, str, bool]:
    if not rules and not general:
        return Assertion.AFFIRMED, _PLAIN, True
    if _UNTAKEN in rules:
        return Assertion.NEGATED, rules[_UNTAKEN], True
    if "affirmed" in rules:  # "father has it, as does he"; "dystonia: yes"
        rules = {name: rule for name, rule in rules.items() if name not in ("family", "affirmed")}
    if "history" in rules and not current and _KNOWN not in rules:
        rules.setdefault("historical", rules["history"])
    if general:
        rules["general"] = general
    for name in _ORDER:
        if name in rules:
            if name in _UNCLEAR:
                return _UNCLEAR[name], rules[name], False
            if name == "withdrawn":
                return Assertion.NEGATED, rules[name], True
            return Assertion(name), rules[name], True
    return Assertion.AFFIRMED, _PLAIN, True


def _general(sentence: Sentence, matches: Sequence[Match]) -> str:
    """The rule of a phrase that only textbooks use, in a sentence without a person; else empty."""
    if any(word.text in _PERSONS for word in sentence):
        return ""
    return next(trigger.rule for match in matches for trigger in _of(match, "general"))


def _has(match: Match, direction: str) -> bool:
    return match.entry is not None and direction in match.entry.directions


def _of(match: Match, direction: str) -> list[Trigger]:
    if match.entry is None or direction not in match.entry.directions:
        return []
    return [trigger for trigger in match.entry.triggers if trigger.direction == direction]


def _is_drug(match: Match) -> bool:
    return match.entry is not None and match.entry.drug is not None


class _Forward:
    """What was said before a finding."""

    def __init__(self, sentence: Sentence, matches: Sequence[Match], said: dict[int, dict[str, str]]) -> None:
        self.sentence, self.matches, self.said = sentence, matches, said
        self.active: dict[str, _Active] = {}
        self.outer: list[dict[str, _Active]] = []
        self.segments: list[_Segment] = []
        self.segment_of: list[int] = []
        self.goes_on: list[bool] = []
        self.questioned = _is_question(sentence, matches)

    def sweep(self) -> None:
        for at, match in enumerate(self.matches):
            before = self.sentence[match.first].before
            if before:
                for sign in before:
                    self.cross(sign, at)
            if match.entry is not None:
                self.read(at, match)

    def read(self, at: int, match: Match) -> None:
        assert match.entry is not None
        self_or_stop = False
        for trigger in match.entry.triggers:
            if trigger.direction == "before":
                self.open(trigger, match.last)
            elif (trigger.direction == "relative" and not self.is_informant(at)) or (
                trigger.direction == "of-whom" and at and _has(self.matches[at - 1], "relative")
            ):
                self.active["family"] = _Active(trigger.rule, len(self.sentence), len(self.sentence))
            elif trigger.direction == "self":
                self.active.clear()
            elif trigger.direction == "stop":
                self_or_stop = True
        if self_or_stop:
            self.active = {name: active for name, active in self.active.items() if name == "family"}
        if match.entry.is_item:
            self.mark(at, match)

    def open(self, trigger: Trigger, last: int) -> None:
        if trigger.assertion == "affirmed":
            for name in ("suspected", "history", "historical"):
                self.active.pop(name, None)
            self.active[_KNOWN] = _Active(trigger.rule, _BEFORE_REACH, last + _BEFORE_REACH)
            return
        reach = trigger.reach or (len(self.sentence) if trigger.assertion == "family" else _BEFORE_REACH)
        self.active[trigger.assertion] = _Active(trigger.rule, reach, last + reach)

    def mark(self, at: int, match: Match) -> None:
        if self.questioned:
            self.said.setdefault(at, {})["suspected"] = self.questioned
        for name, active in self.active.items():
            if match.first <= active.until and (name != _UNTAKEN or _is_drug(match)):
                self.said.setdefault(at, {})[name] = active.rule
                if match.entry is not None and match.entry.meanings:
                    active.until = match.last + active.reach

    def is_informant(self, at: int) -> bool:
        """A relative who tells or brings is not the one who has it."""
        after = self.matches[at + 1 : at + 3]
        before = self.matches[max(at - 2, 0) : at]
        told = any(_of(m, "informant") and not self.sentence[m.first].before for m in after)
        return told or any(_of(m, "accompanying") for m in before)

    def cross(self, sign: str, at: int) -> None:
        if sign == "(":
            self.outer.append({n: _Active(a.rule, a.reach, a.until) for n, a in self.active.items()})
        elif sign == ")":
            self.active = self.outer.pop() if self.outer else self.active
        elif sign in ":-":
            if not (at and self.is_heading(at - 1)):
                self.active = {name: a for name, a in self.active.items() if name == "family" and sign == "-"}
        elif sign == ",":
            self.comma(at)

    def is_heading(self, at: int) -> bool:
        """ "FHx: mother" and "Query - dystonia": what the sign follows is itself a trigger."""
        return any(_of(match, "before") for match in self.matches[max(at - 1, 0) : at + 1])

    def comma(self, at: int) -> None:
        if not self.segments:
            self.segments, self.segment_of = _segments(self.sentence, self.matches)
            self.goes_on = _goes_on(self.segments)
        here = self.segment_of[at]
        segment, last = self.segments[here], self.segments[here - 1] if here else _Segment()
        kept: dict[str, _Active] = {}
        for name, active in self.active.items():
            if name in ("family", _UNTAKEN) or self.goes_on[here] or (segment.is_bare and last.items):
                active.until = max(active.until, self.matches[at].first + active.reach)
                kept[name] = active
            elif name == "negated" and segment.starts_with_item and (segment.is_bare or last.items):
                kept.setdefault("unclear", _Active("unclear:list", active.reach, active.until))
        self.active = kept


class _Backward:
    """What was said after a finding."""

    def __init__(self, sentence: Sentence, matches: Sequence[Match], said: dict[int, dict[str, str]]) -> None:
        self.sentence, self.matches, self.said = sentence, matches, said
        self.active: dict[str, _Active] = {}
        self.fresh = False
        self.used = False
        self.names_a_label = any(word.text in _LABELS for word in sentence)
        """Only what was called a diagnosis is taken back; a medicine is withdrawn too."""

    def sweep(self) -> None:
        for at in range(len(self.matches) - 1, -1, -1):
            match = self.matches[at]
            if match.entry is not None:
                self.read(at, match)
            elif self.used:
                self.active.clear()
            self.fresh = self.fresh and bool(match.entry and match.entry.triggers)
            self.cross(self.sentence[match.first].before)

    def read(self, at: int, match: Match) -> None:
        assert match.entry is not None
        entry = match.entry
        if entry.directions & _ENDS and "after" not in entry.directions:
            self.active.clear()
        for trigger in entry.triggers:
            if self.looks_back(trigger, at):
                self.open(trigger, match)
        if entry.meanings or entry.causes or entry.site:
            self.mark(at, match, counts=bool(entry.meanings))
        elif self.used and not entry.directions & _GOES_ON:
            self.active.clear()

    def looks_back(self, trigger: Trigger, at: int) -> bool:
        """ "dystonia was ruled out", "dystonia (mother)", "dystonia: no"."""
        if trigger.direction == "relative":
            return self.is_named_after(at)
        if trigger.direction == "answer":
            return self.is_answer(at)
        return trigger.direction == "after" and (trigger.assertion != "withdrawn" or self.names_a_label)

    def is_answer(self, at: int) -> bool:
        """The last word of a sentence, after a sign: "dystonia: no", "dystonia, I think"."""
        first = self.matches[at].first
        if at and self.sentence[first - 1].text in ("i", "we"):
            first -= 1
        return at + 1 == len(self.matches) and bool(self.sentence[first].before.strip("/"))

    def open(self, trigger: Trigger, match: Match) -> None:
        close = trigger.rule.split(":", 1)[1] in _CLOSE
        reach = 2 if close else len(self.sentence) if trigger.rule.endswith(":question") else _AFTER_REACH
        self.active[trigger.assertion] = _Active(trigger.rule, reach, match.first - reach)
        self.fresh, self.used = True, False

    def mark(self, at: int, match: Match, counts: bool) -> None:
        for name, active in self.active.items():
            if match.last >= active.until:
                self.said.setdefault(at, {}).setdefault(name, active.rule)
                self.used = self.used or counts

    def cross(self, before: str) -> None:
        """A trigger passes a sign backward only when it is the first thing after it: "dystonia, ruled out"."""
        if before.strip("/") and (self.used or not self.fresh):
            self.active.clear()

    def is_named_after(self, at: int) -> bool:
        """ "dystonia in her mother", "dystonia (mother)"."""
        before = self.sentence[self.matches[at].first].before
        near = [self.sentence[m.first].text for m in self.matches[max(at - 2, 0) : at]]
        alone = at + 1 == len(self.matches) or bool(self.sentence[self.matches[at + 1].first].before)
        return "in" in near or (alone and ("(" in before or "-" in before))


def _is_question(sentence: Sentence, matches: Sequence[Match]) -> str:
    """A sentence that opens like a question and ends with a question mark doubts all that it names."""
    asks = sentence[-1].text == LOOKS_BACK and _has(matches[0], "question")
    return "suspected:question" if asks else ""


def _segments(sentence: Sentence, matches: Sequence[Match]) -> tuple[list[_Segment], list[int]]:
    segments, of = [_Segment()], []
    for match in matches:
        if sentence[match.first].before.strip("/"):
            segments.append(_Segment())
        _count(segments[-1], match, sentence)
        of.append(len(segments) - 1)
    return segments, of


def _count(segment: _Segment, match: Match, sentence: Sentence) -> None:
    entry = match.entry
    joins = entry is not None and "join" in entry.directions
    if entry is not None and entry.meanings:
        segment.items += 1
        segment.starts_with_item = segment.starts_with_item or segment.first
    elif not joins and not (entry is not None and entry.site):
        segment.others += 1
    segment.closes = segment.closes or sentence[match.first].text in ("or", "nor")
    segment.first = segment.first and joins


def _goes_on(segments: Sequence[_Segment]) -> list[bool]:
    """Whether a list runs on through each segment to a closing "or"."""
    goes_on = [False] * (len(segments) + 1)
    for at in range(len(segments) - 1, -1, -1):
        short = segments[at].items + segments[at].others <= 4
        goes_on[at] = (segments[at].items > 0 and segments[at].closes) or (short and goes_on[at + 1])
    return goes_on
