"""The facts of a referral -> is it a dystonia, which code, how sure, and why: one pure function.

The referral's own words and codes (reason, request, remark) decide; background only where they name no readable
reason. Something else needs positive evidence for every reason. In doubt the answer is undetermined: a human.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from referral_service.coding.cause import coded_drug
from referral_service.coding.choose import UNSPECIFIED, Candidate, Choice, candidates_of, choose
from referral_service.coding.concepts import Kind, Vocabulary
from referral_service.coding.elsewhere import SILENT
from referral_service.coding.reading import OWN, FactReading, Found, is_surely_denied, read_fact, stronger
from referral_service.coding.red_flags import RedFlag, red_flags_of
from referral_service.policy import Policy
from referral_service.referral import (
    AgeInterval,
    Alternative,
    Assertion,
    Certainty,
    CodePair,
    Coding,
    Evidence,
    Fact,
    Flag,
    Place,
)

_ATC = "http://www.whocc.no/atc"
_INDUCIBLE = frozenset({Kind.DYSTONIA, Kind.NEIGHBOUR, Kind.MOVEMENT})
"""What a medicine can bring about."""


class Indication(StrEnum):
    DYSTONIA = "dystonia"
    UNDETERMINED = "undetermined"
    ELSEWHERE = "elsewhere"


class Why(StrEnum):
    """Each way in which an indication is not a dystonia: closed, so that every one has its words for a human."""

    ONLY_NEGATED = "only-negated"
    ONLY_FAMILY = "only-family"
    ONLY_HISTORICAL = "only-historical"
    ONLY_NEIGHBOUR = "only-neighbour"
    MOVEMENT_WITHOUT_DIAGNOSIS = "movement-without-diagnosis"
    LANGUAGE_NOT_READ = "language-not-read"
    ASSERTION_UNCLEAR = "assertion-unclear"
    GENERAL_STATEMENT = "general-statement"
    OTHER_REASON_UNSURE = "other-reason-unsure"
    NO_READABLE_REASON = "no-readable-reason"
    ELSEWHERE = "elsewhere"
    BACKGROUND_BESIDE_OTHER_REASON = "background-beside-other-reason"


_BY_KIND = (
    (Why.ONLY_NEIGHBOUR, frozenset({Kind.NEIGHBOUR})),
    (Why.MOVEMENT_WITHOUT_DIAGNOSIS, frozenset({Kind.MOVEMENT, Kind.TONE, Kind.RED_FLAG})),
)
_BY_ASSERTION = (
    (Why.ONLY_NEGATED, Assertion.NEGATED),
    (Why.ONLY_FAMILY, Assertion.FAMILY),
    (Why.ONLY_HISTORICAL, Assertion.HISTORICAL),
)


@dataclass(frozen=True, slots=True)
class Assessment:
    """``why`` is absent exactly when the indication is a dystonia."""

    indication: Indication
    why: Why | None
    code: CodePair | None
    alternatives: tuple[Alternative, ...]
    certainty: Certainty | None
    flags: tuple[Flag, ...]
    evidence: tuple[Evidence, ...]
    red_flags: tuple[RedFlag, ...]


def assess(facts: Sequence[Fact], vocabulary: Vocabulary, policy: Policy, age: AgeInterval | None) -> Assessment:
    """What the facts of one referral say. Never raises for any text; the same input gives the same answer."""
    readings, contradicted = _settled([read_fact(fact, vocabulary, policy) for fact in facts])
    candidates = candidates_of(readings, policy)
    own = [r for r in readings if r.fact.place in OWN]
    ours = [c for c in candidates if c.found.fact.place in OWN]
    background = [c for c in candidates if c.found.fact.place is Place.BACKGROUND]
    indication, why = _indication(readings, own, ours, background)
    used = ours or background
    choice = choose(used, readings, vocabulary) if indication is Indication.DYSTONIA else None
    red_flags = red_flags_of(readings, candidates, policy, age)
    listed = _may_be_induced(readings) and _drug_is_listed(readings)
    return Assessment(
        indication=indication,
        why=why,
        code=choice.code if choice else None,
        alternatives=choice.alternatives if choice else (),
        certainty=choice.certainty if choice else None,
        flags=tuple(_flags(choice, contradicted, listed, red_flags)),
        evidence=tuple(_evidence(readings)),
        red_flags=red_flags,
    )


def _settled(readings: list[FactReading]) -> tuple[list[FactReading], bool]:
    """A G24 code whose own words all speak against it counts as those words say; general statements say nothing."""
    said: dict[str, list[Found]] = {}
    for reading in readings:
        for found in reading.found:
            if found.start is not None and found.meaning.kind is Kind.DYSTONIA and not found.is_general:
                said.setdefault(reading.fact.concept, []).append(found)
    against = {concept: found[0] for concept, found in said.items() if not any(f.is_current for f in found)}
    if not against:
        return readings, False
    settled = [replace(r, found=tuple(_against(f, against.get(r.fact.concept)) for f in r.found)) for r in readings]
    changed = any(new is not old for a, b in zip(settled, readings, strict=True)
                  for new, old in zip(a.found, b.found, strict=True))  # fmt: skip
    return settled, changed


def _against(found: Found, words: Found | None) -> Found:
    coded = found.start is None and found.meaning.kind is Kind.DYSTONIA and found.is_current
    if words is None or not coded:
        return found
    assertion = stronger(found.assertion, words.assertion)
    return found._replace(assertion=assertion, clear=words.clear, rule="text-against-code")


def _indication(
    readings: Sequence[FactReading],
    own: Sequence[FactReading],
    ours: Sequence[Candidate],
    background: Sequence[Candidate],
) -> tuple[Indication, Why | None]:
    if ours:
        taken_back = _is_taken_back(own, ours) or _is_answered_no(own, ours)
        return (Indication.UNDETERMINED, Why.ASSERTION_UNCLEAR) if taken_back else (Indication.DYSTONIA, None)
    why = _why_undetermined(own)
    if why:
        return Indication.UNDETERMINED, why
    behind = [r for r in readings if r.fact.place in (Place.BACKGROUND, Place.FAMILY)]
    if _is_elsewhere(own):
        return _elsewhere(behind)
    if any(_is_reason(r) and r.is_elsewhere for r in own):
        return Indication.UNDETERMINED, Why.OTHER_REASON_UNSURE
    if background:
        return Indication.DYSTONIA, None
    return Indication.UNDETERMINED, _why_undetermined(behind) or Why.NO_READABLE_REASON


def _is_taken_back(own: Sequence[FactReading], ours: Sequence[Candidate]) -> bool:
    """What one fact of the referral states, another withdraws or rules out, by the same name or as dystonia at all."""
    withdrawn = [f for r in own for f in r.found if f.meaning.kind is Kind.DYSTONIA and f.is_withdrawn]
    return any(
        back.fact is not candidate.found.fact and back.meaning.code in (UNSPECIFIED, candidate.code)
        for back in withdrawn
        for candidate in ours
    )


def _is_answered_no(own: Sequence[FactReading], ours: Sequence[Candidate]) -> bool:
    """Each finding is only suspected, and further on in the same text dystonia as a whole is surely denied.

    Somebody wondered and somebody looked: which of the two stands is for a human to read.
    """
    denied = [f for r in own for f in r.found if is_surely_denied(f.rule) and f.meaning.code == UNSPECIFIED]
    return all(
        one.is_suspected
        and any(no.fact is one.found.fact and (no.start or 0) > (one.found.start or 0) for no in denied)
        for one in ours
    )


def _elsewhere(behind: Sequence[FactReading]) -> tuple[Indication, Why]:
    """Surely something else, unless the background or the family names anything near dystonia, however it is meant,
    or cannot be read: that makes it a review."""
    named = any(found.meaning.kind not in SILENT for reading in behind for found in reading.found)
    if named or _why_undetermined(behind):
        return Indication.UNDETERMINED, Why.BACKGROUND_BESIDE_OTHER_REASON
    return Indication.ELSEWHERE, Why.ELSEWHERE


def _why_undetermined(readings: Sequence[FactReading]) -> Why | None:
    """The reason why facts that name something near dystonia do not settle it; None when they name nothing near."""
    found = [f for r in readings for f in r.found]
    of_dystonia = [f for f in found if f.meaning.kind is Kind.DYSTONIA]
    if any(not f.clear for f in of_dystonia):
        general = all(f.is_general for f in of_dystonia if not f.clear)
        return Why.GENERAL_STATEMENT if general else Why.ASSERTION_UNCLEAR
    for why, assertion in _BY_ASSERTION:
        if any(f.assertion is assertion for f in of_dystonia):
            return why
    for why, kinds in _BY_KIND:
        if any(f.meaning.kind in kinds for f in found):
            return why
    return Why.LANGUAGE_NOT_READ if any(r.is_foreign for r in readings) else None


def _is_reason(reading: FactReading) -> bool:
    return reading.fact.place is Place.REASON


def _is_elsewhere(own: Sequence[FactReading]) -> bool:
    """Every reason is surely something else; without a coded or worded reason, the remarks must be."""
    places = (Place.REASON,) if any(_is_reason(r) for r in own) else (Place.REMARK,)
    concepts: dict[str, list[FactReading]] = {}
    for reading in own:
        if reading.fact.place in places:
            concepts.setdefault(reading.fact.concept, []).append(reading)
    remarks = (r for r in own if r.fact.place is Place.REMARK and r.text is not None)
    return (
        bool(concepts)
        and all(any(r.is_elsewhere for r in group) for group in concepts.values())
        and all(r.is_elsewhere or (r.text is not None and r.text.is_plain) for r in remarks)
    )


def _may_be_induced(readings: Iterable[FactReading]) -> bool:
    return any(f.is_current and f.meaning.kind in _INDUCIBLE for r in readings for f in r.found)


def _drug_is_listed(readings: Iterable[FactReading]) -> bool:
    """A causative drug in the medication or in the referral's own words. Weak signals are not inferred from a list."""
    for reading in readings:
        place, stance = reading.fact.place, reading.fact.stance
        if stance in (Assertion.NEGATED, Assertion.FAMILY) or place not in (*OWN, Place.MEDICATION):
            continue
        coded = coded_drug(reading.fact)
        if coded is not None and coded.strong:
            return True
        mentions = reading.text.mentions if reading.text is not None else ()
        if any(m.entry.drug and m.entry.drug.strong and m.assertion.is_current for m in mentions):
            return True
    return False


def _flags(choice: Choice | None, contradicted: bool, listed: bool, red_flags: Sequence[RedFlag]) -> Iterable[Flag]:
    if choice is not None and choice.is_contested:
        yield Flag.CODE_CONTESTABLE
    if contradicted or (choice is not None and choice.is_conflict):
        yield Flag.CODE_CONFLICT
    if listed and not (choice and choice.code.cm.code.startswith("G24.0")):
        yield Flag.POSSIBLE_DRUG_INDUCED
    if red_flags:
        yield Flag.RED_FLAG


def _evidence(readings: Iterable[FactReading]) -> Iterable[Evidence]:
    """Every finding in document order, with the causative drugs."""
    for reading in readings:
        rows = [(f.start or 0, f.evidence) for f in reading.found if f.meaning.kind is not Kind.CONTEXT]
        yield from (evidence for _, evidence in sorted([*rows, *_drugs(reading)], key=lambda row: row[0]))


def _drugs(reading: FactReading) -> Iterable[tuple[int, Evidence]]:
    fact = reading.fact
    coded = coded_drug(fact)
    if coded is not None:
        yield (
            0,
            Evidence(
                fact.expression, Coding(_ATC, coded.atc, coded.name), fact.stance or Assertion.AFFIRMED, "drug:code"
            ),
        )
    if reading.text is None:
        return
    where = fact.expression if fact.coding is None else f"{fact.expression}.display"
    for mention in reading.text.mentions:
        drug = mention.entry.drug
        if drug is not None:
            span = reading.text.text[mention.start : mention.end]
            finding = Coding(_ATC, drug.atc, drug.name)
            assertion = stronger(mention.assertion, fact.stance)
            yield mention.start, Evidence(where, finding, assertion, mention.rule, mention.start, mention.end, span)
