"""How far a trigger holds: one sentence swept once forward and once backward, with the words where a scope ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from referral_service.coding.lexicon import Match, Trigger
from referral_service.coding.text import LOOKS_BACK, Sentence, is_number

_AUXILIARIES = frozenset(
    {
        *("has", "have", "had", "was", "were", "been", "being", "is", "are", "be", "now", "since", "then", "later"),
        *(
            "also",
            "already",
            "finally",
            "which",
            "that",
            "subsequently",
            "fully",
            "completely",
            "itself",
            "again",
            "all",
        ),
    }
)
"""Words that belong to what follows them: "has since been ruled out"."""
_ASKS_FOR = frozenset(
    {
        *("see", "seen", "review", "botox", "treat", "treated", "treatment", "injections", "injected", "appointment"),
        *("accept", "clinic", "therapy", "advise", "benefit", "help", "prescribe", "physio", "physiotherapy", "offer"),
    }
)
"""A question with one of these asks for something and doubts nothing: "could you see this lady with dystonia?"."""
KNOWN = "known"
"""What was diagnosed years ago is there still."""
PRESENT = "present"
"""Said directly after a finding, over whatever stands before it: "tremor excluded, dystonia confirmed"."""
_UNTAKEN = "untaken"
"""Said only of a medicine: "never on neuroleptics"."""
_OF_THE_PATIENT = frozenset({"single", "retired", "busy", "new", "working", "pregnant", "expectant"})
_LABELS = frozenset({"diagnosis", "diagnosed", "diagnoses", "dx", "label", "labelled", "labeled"})
_STOPS = ("stop", "stop-ahead")
_ENDS, _GOES_ON = frozenset({"stop", "self"}), frozenset({"join", "after"})
_AFTER_REACH, _CLOSE_REACH, _BEFORE_REACH = 6, 2, 14
_CLOSE = frozenset(
    {
        *("like", "v", "vs", "versus", "possible", "possibly", "probable", "probably", "likely", "considered"),
        *("suspected", "nil", "denied", "negative", "absent", "tbc", "provisional", "uncertain"),
        *("confirmed", "present", "proven"),
    }
)
"""Triggers that speak only of the word beside them."""


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


def has(match: Match, direction: str) -> bool:
    return match.entry is not None and direction in match.entry.directions


def triggers_of(match: Match, direction: str) -> list[Trigger]:
    if match.entry is None or direction not in match.entry.directions:
        return []
    return [trigger for trigger in match.entry.triggers if trigger.direction == direction]


def _is_drug(match: Match) -> bool:
    return match.entry is not None and match.entry.drug is not None


class Forward:
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
        stops = False
        if match.entry.causes:  # "not caused by": the cause is denied before it ends what was said
            self.mark(at, match)
        for trigger in match.entry.triggers:
            direction = trigger.direction
            if direction == "before":
                self.open(trigger, match.last)
            elif (direction == "relative" and not self.is_informant(at) and not self.is_the_patient(at)) or (
                direction == "of-whom" and at and has(self.matches[at - 1], "relative")
            ):
                self.active["family"] = _Active(trigger.rule, len(self.sentence), len(self.sentence))
            elif direction == "self" or (direction == "relative" and self.is_the_patient(at)):
                self.active.clear()
            elif direction in _STOPS:
                stops = True
        if stops:
            self.active = {name: active for name, active in self.active.items() if name == "family"}
        if match.entry.is_item:
            self.mark(at, match)

    def open(self, trigger: Trigger, last: int) -> None:
        if trigger.assertion == "affirmed":
            for name in ("suspected", "history", "historical"):
                self.active.pop(name, None)
            self.active[KNOWN] = _Active(trigger.rule, _BEFORE_REACH, last + _BEFORE_REACH)
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

    def is_the_patient(self, at: int) -> bool:
        """ "this mother of three with dystonia", "a retired father"."""
        first, last = self.matches[at].first, self.matches[at].last
        before = [word.text for word in self.sentence[max(first - 2, 0) : first]]
        after = [word.text for word in self.sentence[last + 1 : last + 3]]
        of_number = len(after) == 2 and after[0] == "of" and is_number(after[1])
        return of_number or bool(_OF_THE_PATIENT & set(before)) or before[-1:] == ["this"]

    def is_informant(self, at: int) -> bool:
        """A relative who tells or brings is not the one who has it."""
        after = self.matches[at + 1 : at + 3]
        before = self.matches[max(at - 2, 0) : at]
        told = any(triggers_of(m, "informant") and not self.sentence[m.first].before for m in after)
        return told or any(triggers_of(m, "accompanying") for m in before)

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
        return any(triggers_of(match, "before") for match in self.matches[max(at - 1, 0) : at + 1])

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


class Backward:
    """What was said after a finding."""

    def __init__(self, sentence: Sentence, matches: Sequence[Match], said: dict[int, dict[str, str]]) -> None:
        self.sentence, self.matches, self.said = sentence, matches, said
        self.active: dict[str, _Active] = {}
        self.fresh = False
        self.used = False

    def sweep(self) -> None:
        sentence = self.sentence
        for at in range(len(self.matches) - 1, -1, -1):
            match = self.matches[at]
            entry = match.entry
            if entry is not None:
                self.read(at, match)
            elif self.used:
                self.active.clear()
            if self.fresh and not (entry is not None and entry.triggers):
                self.fresh = self.belongs_to_what_follows(match)
            before = sentence[match.first].before
            if before:
                self.cross(before)

    def read(self, at: int, match: Match) -> None:
        assert match.entry is not None
        entry = match.entry
        if self.fresh and self.belongs_to_what_follows(match):
            return
        if entry.directions & _ENDS and "after" not in entry.directions:
            self.active.clear()
        if "stop-ahead" in entry.directions:  # "dystonia after stroke, now resolved", not "after possible stroke"
            kept = {name: active for name, active in self.active.items() if active.reach > _CLOSE_REACH}
            self.active = {name: active for name, active in kept.items() if name != "history"}
        for trigger in entry.triggers:
            if self.looks_back(trigger, at) and not (trigger.rule.endswith(":question") and self.has(_ASKS_FOR)):
                self.open(trigger, match)
        if entry.meanings or entry.causes or entry.site:
            self.mark(at, match, counts=bool(entry.meanings))
        elif self.used and not entry.directions & _GOES_ON:
            self.active.clear()

    def has(self, words: frozenset[str]) -> bool:
        return any(word.text in words for word in self.sentence)

    def belongs_to_what_follows(self, match: Match) -> bool:
        for word in self.sentence[match.first : match.last + 1]:
            text = word.text
            if text not in _AUXILIARIES and not (text.endswith("ly") and len(text) > 4):
                return False
        return True

    def looks_back(self, trigger: Trigger, at: int) -> bool:
        """ "dystonia was ruled out", "dystonia (mother)", "dystonia: no".

        Only what was called a diagnosis is withdrawn; a medicine is withdrawn too.
        """
        if trigger.direction == "relative":
            return self.is_named_after(at)
        if trigger.direction == "answer":
            return self.is_answer(at)
        return trigger.direction == "after" and (trigger.assertion != "withdrawn" or self.has(_LABELS))

    def is_answer(self, at: int) -> bool:
        """The last word of a sentence, after a sign: "dystonia: no", "dystonia, I think"."""
        first = self.matches[at].first
        if at and self.sentence[first - 1].text in ("i", "we"):
            first -= 1
        return at + 1 == len(self.matches) and bool(self.sentence[first].before.strip("/"))

    def open(self, trigger: Trigger, match: Match) -> None:
        close = trigger.rule.split(":", 1)[1] in _CLOSE
        reach = _CLOSE_REACH if close else len(self.sentence) if trigger.rule.endswith(":question") else _AFTER_REACH
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
    asks = sentence[-1].text == LOOKS_BACK and has(matches[0], "question")
    asks = asks and not any(word.text in _ASKS_FOR for word in sentence)
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
