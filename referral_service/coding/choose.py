"""From the current dystonia findings of a referral to one ICD-10-CM code, its alternatives and the doubts about it.

The order, most specific first: stated drug cause (G24.02, .01, .09), genetic (G24.1), site (G24.3, .4, .5), idiopathic
nonfamilial (G24.2), other specified (G24.8), unspecified (G24.9). A plain statement wins over a hedged one, and a code
that says more over G24.9. Source: ICD-10-CM Tabular List G24 and the Index under Dystonia, Dyskinesia, Torticollis.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from referral_service.coding.cause import Placed, Site, Surroundings, drug_code, is_narrowing, sites_of
from referral_service.coding.concepts import Kind, Meaning, Vocabulary
from referral_service.coding.reading import FactReading, Found
from referral_service.policy import Policy
from referral_service.referral import Alternative, Assertion, Certainty, CodePair, Place, WhyNot

UNSPECIFIED = "G24.9"
_DRUG, _GENETIC, _OTHER = "G24.0", "G24.1", "G24.8"
_FACE, _EYELIDS = "G24.4", "G24.5"
_RANKS = {"G24.02": 0, "G24.01": 0, "G24.09": 0, "G24.1": 2, "G24.3": 3, "G24.4": 3, "G24.5": 3, "G24.2": 4, "G24.8": 5}
_LAST = 6


class Candidate(NamedTuple):
    """A finding with the code that its surroundings narrow it to."""

    found: Found
    code: str
    contested: bool
    alternatives: tuple[str, ...]
    generic: bool
    broad: bool
    order: int
    why_not: WhyNot = WhyNot.CLASSIFICATIONS_DIFFER
    """Why its own alternatives lost."""

    @property
    def is_suspected(self) -> bool:
        return self.found.assertion is Assertion.SUSPECTED

    @property
    def from_text(self) -> bool:
        return self.found.start is not None

    @property
    def key(self) -> tuple[bool, bool, bool, int, int]:
        header = 1 if self.generic and self.code.startswith(_DRUG) else 0
        rank = _RANKS.get(self.code, _LAST) + header
        return (self.code == UNSPECIFIED, self.is_suspected, self.broad, rank, self.order)


@dataclass(frozen=True, slots=True)
class Choice:
    code: CodePair
    alternatives: tuple[Alternative, ...]
    certainty: Certainty
    is_contested: bool
    is_conflict: bool


def candidates_of(readings: Sequence[FactReading], policy: Policy) -> list[Candidate]:
    """The current dystonia findings, and neighbours that a stated drug cause makes a dystonia, in document order."""
    placed = Placed(r for r in readings if r.fact.place is Place.SITE)
    named: dict[str, list[Site]] = {}
    for reading in readings:
        if reading.fact.coding is None and reading.text is not None:
            named.setdefault(reading.fact.concept, []).extend(sites_of([reading]))
    candidates: list[Candidate] = []
    for reading in readings:
        around = Surroundings(reading.text.mentions if reading.text else ())
        named_here = named.get(reading.fact.concept, ()) if reading.fact.coding is not None else ()
        beside = (*_one_site(named_here), *placed.beside(reading.fact)) if reading.found else ()
        for found in reading.found:
            candidate = _candidate(found, around, beside, policy, len(candidates)) if found.is_current else None
            if candidate is not None:
                candidates.append(candidate)
    return candidates


def _one_site(sites: Sequence[Site]) -> Sequence[Site]:
    """Words beside a code narrow it when they name one place, and not when they are a tour of the body."""
    return sites[:1] if len({site.code for site in sites}) == 1 else ()


def _candidate(
    found: Found, around: Surroundings, sites: Sequence[Site], policy: Policy, order: int
) -> Candidate | None:
    meaning = found.meaning
    by_drug = found.mention is not None and around.drug_is_cause(found.mention.sentence)
    if meaning.kind is not Kind.DYSTONIA and not (by_drug and meaning.with_drug):
        return None
    plain = Candidate(
        found, meaning.code or meaning.with_drug, meaning.contested or bool(meaning.switch), meaning.alternatives,
        meaning.generic, meaning.broad, order,
    )  # fmt: skip
    if by_drug and found.mention is not None:
        return _by_drug(plain, around.course(found.mention.sentence), policy)
    return _narrowed(plain, around, sites)


def _by_drug(plain: Candidate, course: str, policy: Policy) -> Candidate:
    meaning = plain.found.meaning
    if meaning.kind is not Kind.DYSTONIA:
        return plain._replace(contested=True, alternatives=())
    if plain.code.startswith(_DRUG) or plain.code == _GENETIC:
        return plain
    code = drug_code(plain.code, plain.found.text or "", course, policy.contestable.get("tardive-dystonia", "G24.09"))
    kept = () if plain.code == UNSPECIFIED else (plain.code,)
    return plain._replace(
        code=code, contested=bool(kept), alternatives=kept, generic=False, broad=False, why_not=WhyNot.WITHOUT_CAUSE
    )


def _narrowed(plain: Candidate, around: Surroundings, sites: Sequence[Site]) -> Candidate:
    mention = plain.found.mention
    if mention is not None:
        sites = around.sites_near(mention) or sites
    site = next(iter(sites), None)
    if plain.broad and plain.code == _OTHER and mention is not None and around.has_gene(mention.sentence):
        return plain._replace(code=_GENETIC, broad=False, contested=True, alternatives=(_OTHER,))
    if plain.code != UNSPECIFIED:
        focal = plain.broad and "focal" in (plain.found.text or "").lower()
        fits = focal and site is not None and is_narrowing(site)
        return plain._replace(code=site.code, broad=False) if fits and site else plain
    if "genetic" in around.kinds:
        return plain._replace(
            code=_GENETIC, generic=False, contested=True, alternatives=(UNSPECIFIED,), why_not=WhyNot.WITHOUT_CAUSE
        )
    if site is not None:
        return plain._replace(code=site.code, generic=False, contested=False, alternatives=())
    if "acquired" in around.kinds:
        return plain._replace(
            code=_OTHER,
            generic=False,
            contested=True,
            broad=True,
            alternatives=(UNSPECIFIED,),
            why_not=WhyNot.WITHOUT_CAUSE,
        )
    return plain


def choose(candidates: Sequence[Candidate], readings: Iterable[FactReading], vocabulary: Vocabulary) -> Choice:
    """The winner of the stated order; the others, and what coders could defend instead, are alternatives."""
    ranked = sorted(candidates, key=lambda candidate: candidate.key)
    best = _whole_face(ranked)
    same = [(code, c.why_not) for c in ranked if c.code == best.code for code in c.alternatives]
    others = [(c.code, _why_not(c, best)) for c in ranked if c.code not in (UNSPECIFIED, best.code)]
    codes: dict[str, WhyNot] = {}
    for code, why in (*same, *others):
        if code != best.code and code in vocabulary.pairs:
            codes.setdefault(code, why)
    header = best.generic and best.contested
    return Choice(
        code=vocabulary.pairs[best.code],
        alternatives=tuple(Alternative(vocabulary.pairs[code], why) for code, why in codes.items()),
        certainty=_certainty(best, ranked),
        is_contested=header
        or any(c.contested for c in ranked if c.code == best.code and not (c.generic and c is not best)),
        is_conflict=_conflicts(ranked) or _contradicted(candidates, readings),
    )


def _whole_face(ranked: Sequence[Candidate]) -> Candidate:
    """Eyelids and jaw together are Meige's syndrome (ICD-10-CM Index: Meige, syndrome, G24.4)."""
    best = ranked[0]
    faces = [c for c in ranked if c.code == _FACE and c.is_suspected == best.is_suspected]
    return faces[0] if best.code == _EYELIDS and faces else best


def _why_not(other: Candidate, best: Candidate) -> WhyNot:
    """In which part of the order another finding comes after the one that was chosen."""
    if other.is_suspected and not best.is_suspected:
        return WhyNot.HEDGED
    return WhyNot.LESS_SPECIFIC if other.broad and not best.broad else WhyNot.LATER_IN_ORDER


def _certainty(best: Candidate, ranked: Sequence[Candidate]) -> Certainty:
    """The words outrank the code: a coded diagnosis beside a hedge about the same thing is suspected."""
    if best.is_suspected:
        return Certainty.SUSPECTED
    if best.from_text:
        return Certainty.SUSPECTED if _is_doubted(best, ranked) else Certainty.CONFIRMED
    said = [c for c in ranked if c.from_text and (c.code == best.code or c.generic or c.broad)]
    return Certainty.SUSPECTED if said and all(c.is_suspected for c in said) else Certainty.CONFIRMED


def _is_doubted(best: Candidate, ranked: Sequence[Candidate]) -> bool:
    """A sign or a lay name ("laterocollis", "yips") stands beside the doubt whether it is a dystonia."""
    if _names_it(best):
        return False
    beside = [c for c in ranked if c.is_suspected and c.found.fact == best.found.fact and _names_it(c)]
    return any(c.code == best.code or c.generic or c.broad for c in beside)


def _names_it(candidate: Candidate) -> bool:
    return "ystoni" in (candidate.found.text or "")


def _conflicts(ranked: Sequence[Candidate]) -> bool:
    """A code and the text, or two codes, that name different things and not merely less of the same."""
    coded = {c.code: c for c in ranked if not c.from_text}
    said = {c.code: c for c in ranked if c.from_text}
    pairs = [(a, b) for a in coded.values() for b in (*coded.values(), *said.values())]
    return any(not _agree(a, b) for a, b in pairs)


def _agree(first: Candidate, second: Candidate) -> bool:
    if first.code == second.code or first.broad or second.broad or UNSPECIFIED in (first.code, second.code):
        return True
    if first.code in second.alternatives or second.code in first.alternatives:
        return True
    both_drug = first.code.startswith(_DRUG) and second.code.startswith(_DRUG)
    return both_drug and (first.generic or second.generic)


def _contradicted(candidates: Sequence[Candidate], readings: Iterable[FactReading]) -> bool:
    """In one concept: a dystonia beside what ICD does not let stand for the same, at least one of them a code."""
    named: dict[str, list[Found]] = {}
    for candidate in candidates:
        named.setdefault(candidate.found.fact.concept, []).append(candidate.found)
    return any(
        _excludes(rival, beside)
        for reading in readings
        for rival in reading.found
        if rival.is_current and _is_rival(rival.meaning, reading)
        for beside in named.get(reading.fact.concept, ())
    )


def _excludes(rival: Found, beside: Found) -> bool:
    """A display may say more exactly what its code means ("Torticollis", "Cervical dystonia"), but nothing else."""
    if rival.fact is beside.fact:
        return rival.meaning.kind is Kind.ELSEWHERE and rival.expression != beside.expression
    return rival.start is None or beside.start is None


def _is_rival(meaning: Meaning, reading: FactReading) -> bool:
    """What ICD excludes from G24, and another field of medicine when a code says it or the words say nothing else."""
    is_sure = reading.fact.coding is not None or reading.is_elsewhere
    return meaning.excludes_g24 or (meaning.kind is Kind.ELSEWHERE and is_sure)


def codes_by_found(candidates: Iterable[Candidate]) -> Mapping[int, str]:
    return {id(candidate.found): candidate.code for candidate in candidates}
