"""What the rest of a text says of a mention: its heading, the answer to a question, a diagnosis taken back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from referral_service.coding.assertion import Mention
from referral_service.coding.concepts import Kind
from referral_service.coding.lexicon import Match
from referral_service.coding.sections import Section, Sections
from referral_service.coding.text import LOOKS_BACK, Sentence
from referral_service.referral import Assertion

Said = tuple[Assertion, str]
"""An assertion and the rule that gave it."""
_ANSWERS: dict[str, Said] = {
    "no": (Assertion.NEGATED, "negated:answer"),
    "nil": (Assertion.NEGATED, "negated:answer"),
    "negative": (Assertion.NEGATED, "negated:answer"),
    "yes": (Assertion.AFFIRMED, "affirmed:answer"),
}
_OVER = {
    "historical": Assertion.HISTORICAL,
    "negated": Assertion.NEGATED,
    "withdrawn": Assertion.NEGATED,
}
_MALE = frozenset({"father", "dad", "brother", "uncle", "grandfather", "grandpa", "son", "nephew", "husband"})
_FEMALE = frozenset({"mother", "mum", "mom", "sister", "aunt", "grandmother", "grandma", "daughter", "niece", "wife"})
_KIN = {
    "he": (_MALE, frozenset({"she", "her", "herself"})),
    "she": (_FEMALE, frozenset({"he", "his", "him", "himself"})),
}
"""A pronoun -> the relatives it can mean, and the words which show that the patient is none of that sex."""
_WORDS = re.compile(r"[a-z]+")
_POINTS_BACK = frozenset({"this", "it", "these", "they", "that", "which"})
_EMPTY_BOX = re.compile(r"(?:\[ ?\]|\u2610|\u25a1|\u00d8) ?$")
_FORM_NO = re.compile(
    r" ?(?:[:=]\s?(?:[-*\u2022] ?)?(?:0|n|no|none|nil|neg|negative|absent)|\[ ?\]|\(-\)|neg|0/\d|N"
    r"|\((?:no|neg|negative|absent)\))(?= ?(?:[.,;)\n\[]|$))"
)
_SOON = 6
_WITHDRAWN = "withdrawn:"
_ACUTE = "G24.02"


def in_context(
    text: str, split: Sequence[Sentence], matched: Sequence[Sequence[Match]], mentions: list[Mention]
) -> list[Mention]:
    """The mentions of a text, each as the text around its sentence means it."""
    if not mentions:
        return mentions
    sections = Sections(text)
    later = {**_of_kin(split, matched, text), **_said_next(split, matched, mentions), **_answers(split)}
    taken_back = {code for m in mentions if m.rule.startswith(_WITHDRAWN) for code in m.entry.codes}
    meant = [_meant(m, sections, later.get(m.sentence), taken_back) for m in mentions]
    return [_over(_answered(m, _boxed(m, text)), matched[m.sentence]) for m in meant]


def _answered(mention: Mention, said: Said | None) -> Mention:
    if said is None or not mention.entry.codes:
        return mention
    return mention._replace(assertion=said[0], rule=said[1], clear=True)


def _answers(split: Sequence[Sentence]) -> dict[int, Said]:
    """ "Dystonia? No." - the sentences that are questions, with what the one word after them says."""
    return {
        number: _ANSWERS[answer[0].text]
        for number, (question, answer) in enumerate(pairwise(split))
        if question[-1].text == LOOKS_BACK and len(answer) == 1 and answer[0].text in _ANSWERS
    }


def _said_next(
    split: Sequence[Sentence], matched: Sequence[Sequence[Match]], mentions: Sequence[Mention]
) -> dict[int, Said]:
    """ "Acute dystonia aged 12. This resolved the same night." - what a sentence says of the one before."""
    named = {mention.sentence for mention in mentions if mention.entry.codes}
    found: dict[int, Said] = {}
    for number in named:
        after = number + 1
        if after < len(split) and after not in named and split[after][0].text in _POINTS_BACK:
            said = _first_after(matched[after])
            if said is not None:
                found[number] = said
    return found


def _first_after(matches: Sequence[Match]) -> Said | None:
    for match in matches[1:_SOON]:
        for trigger in match.entry.triggers if match.entry is not None else ():
            if trigger.direction == "recurs":
                return Assertion.AFFIRMED, "affirmed:next-sentence"
            if trigger.direction == "after" and trigger.assertion in _OVER:
                return _OVER[trigger.assertion], f"{trigger.assertion}:next-sentence"
    return None


def _of_kin(split: Sequence[Sentence], matched: Sequence[Sequence[Match]], text: str) -> dict[int, Said]:
    """ "anxious about her father's condition. He developed dystonia" - of a patient who is a she."""
    words = set(_WORDS.findall(text.lower()))
    found: dict[int, Said] = {}
    for number in range(1, len(split)):
        pronoun = split[number][0].text
        kin, other = _KIN.get(pronoun, (frozenset(), frozenset()))
        if kin and words & other and _relatives(split[number - 1], matched[number - 1]) & kin:
            found[number] = Assertion.FAMILY, "family:pronoun"
    return found


def _relatives(sentence: Sentence, matches: Sequence[Match]) -> set[str]:
    named = (m for m in matches if m.entry is not None and "relative" in m.entry.directions)
    return {sentence[at].text.removesuffix("s") for match in named for at in range(match.first, match.last + 1)}


def _over(mention: Mention, matches: Sequence[Match]) -> Mention:
    """An acute reaction or a crisis of which a year or its end is told is over."""
    if not _is_event(mention) or not mention.assertion.is_current:
        return mention
    later = (t for m in matches if m.first > mention.last and m.entry is not None for t in m.entry.triggers)
    rule = next((t.rule for t in later if t.direction == "after" and t.assertion in ("history", "historical")), None)
    return mention if rule is None else mention._replace(assertion=Assertion.HISTORICAL, rule=rule, clear=True)


def _boxed(mention: Mention, text: str) -> Said | None:
    """What a form says beside a finding: an empty box before it, "0" or "neg" after it."""
    if _EMPTY_BOX.search(text, max(mention.start - 5, 0), mention.start):
        return Assertion.NEGATED, "negated:empty-box"
    if _FORM_NO.match(text, mention.end):
        return Assertion.NEGATED, "negated:form"
    return None


def _meant(mention: Mention, sections: Sections, later: Said | None, taken_back: set[str]) -> Mention:
    if mention.assertion is Assertion.NEGATED:
        return mention
    if later is not None and mention.entry.codes:
        return mention._replace(assertion=later[0], rule=later[1], clear=True)
    if taken_back & mention.entry.codes:
        return mention._replace(assertion=Assertion.NEGATED, rule="withdrawn:elsewhere-in-the-text", clear=True)
    section = sections.at(mention.start)
    if section is Section.FAMILY:
        return mention._replace(assertion=Assertion.FAMILY, rule="family:heading", clear=True)
    if section is Section.PAST and mention.assertion.is_current and _is_event(mention):
        return mention._replace(assertion=Assertion.HISTORICAL, rule="historical:heading", clear=True)
    return mention


def _is_event(mention: Mention) -> bool:
    return _ACUTE in mention.entry.codes or any(meaning.kind is Kind.RED_FLAG for meaning in mention.entry.meanings)
