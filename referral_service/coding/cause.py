"""What narrows a dystonia: a drug that is said to be the cause, its time course, a body site, a known other cause."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from referral_service.coding.assertion import Mention
from referral_service.coding.codes import system_of
from referral_service.coding.lexicon import Drug, sites_by_code
from referral_service.coding.reading import FactReading
from referral_service.coding.tables import table
from referral_service.referral import Assertion, Fact

ACUTE, SUBACUTE, OTHER_DRUG = "G24.02", "G24.01", "G24.09"
_REFERRAL = "ServiceRequest"
"""The FHIRPath of the referral itself."""
_NEAR_DRUG = 5
_NEAR_SITE = 9
_OTHERS = frozenset({Assertion.NEGATED, Assertion.FAMILY})
_NARROWING_REGIONS = frozenset({"neck", "face", "eyelids"})


@dataclass(frozen=True, slots=True)
class Site:
    region: str
    code: str


class Surroundings:
    """The drugs, sites and causes of one text, by sentence."""

    def __init__(self, mentions: Sequence[Mention]) -> None:
        self.sites: dict[int, list[Mention]] = {}
        self.drugs: dict[int, list[Mention]] = {}
        self.causes: dict[int, list[Mention]] = {}
        self.kinds: set[str] = set()
        for mention in mentions:
            if mention.assertion in _OTHERS:
                continue
            if mention.entry.site is not None:
                self.sites.setdefault(mention.sentence, []).append(mention)
            if mention.entry.drug is not None:
                self.drugs.setdefault(mention.sentence, []).append(mention)
            if mention.entry.causes:
                self.causes.setdefault(mention.sentence, []).append(mention)
                self.kinds.update(kind for kind, _ in mention.entry.causes)
        self.courses = {n: _course(causes) for n, causes in self.causes.items()}
        self.stated = {n for n, drugs in self.drugs.items() if _is_stated(drugs, self.causes.get(n, ()))}
        self.alone = {n for n, causes in self.causes.items() if any(_is(c, "drug-alone") for c in causes)}

    def drug_is_cause(self, sentence: int) -> bool:
        """Said in the sentence of the finding."""
        return sentence in self.stated or sentence in self.alone

    def course(self, sentence: int) -> str:
        return self.courses.get(sentence, "")

    def has_gene(self, sentence: int) -> bool:
        """A gene or an inherited cause is named in the sentence of the finding."""
        return any(_is(cause, "genetic") for cause in self.causes.get(sentence, ()))

    def sites_near(self, mention: Mention) -> list[Site]:
        """The nearest site of the same sentence."""
        sites = self.sites.get(mention.sentence, [])
        at = bisect(sites, mention.word, key=lambda site: site.word)
        near = [site for site in sites[max(at - 1, 0) : at + 1] if abs(site.word - mention.word) <= _NEAR_SITE]
        best = min(near, key=lambda site: abs(site.word - mention.word), default=None)
        return [Site(*best.entry.site)] if best is not None and best.entry.site is not None else []


def _course(causes: Iterable[Mention]) -> str:
    said = {value for cause in causes for kind, value in cause.entry.causes if kind == "course"}
    return "acute" if "acute" in said else "tardive" if "tardive" in said else ""


def _is(mention: Mention, kind: str) -> bool:
    return any(name == kind for name, _ in mention.entry.causes)


def _is_stated(drugs: Sequence[Mention], causes: Sequence[Mention]) -> bool:
    """A word of cause just before the drug ("after IV metoclopramide") or just after it ("metoclopramide-induced")."""
    said = [(cause.word, cause.last) for cause in causes if _is(cause, "drug")]
    before = {near for _, last in said for near in range(last + 1, last + _NEAR_DRUG)}
    after = {first - near for first, _ in said for near in (1, 2)}
    return any(drug.word in before or drug.last in after for drug in drugs)


def drug_code(code: str, text: str, course: str, tardive: str) -> str:
    """Acute is G24.02, a dyskinesia or one of face, jaw or eyelids G24.01 (inclusion terms), any other G24.09."""
    if course == "acute":
        return ACUTE
    if "dyskin" in text.lower() or code in ("G24.4", "G24.5"):
        return SUBACUTE
    return tardive if course == "tardive" else OTHER_DRUG


def is_narrowing(site: Site) -> bool:
    return site.region in _NARROWING_REGIONS


def sites_of(readings: Iterable[FactReading]) -> list[Site]:
    """The sites that facts name, by SNOMED CT body structure or in words."""
    sites = []
    for reading in readings:
        coding = reading.fact.coding
        if reading.fact.stance in _OTHERS:
            continue
        if coding is not None and system_of(coding.system).kind == "snomed" and coding.code in sites_by_code():
            sites.append(Site(*sites_by_code()[coding.code]))
        elif reading.text is not None:
            sites += [Site(*m.entry.site) for m in reading.text.mentions if m.entry.site and m.assertion not in _OTHERS]
    return sites


class Placed:
    """The sites of bodySite elements: that of the referral narrows every finding, that of a record only its own."""

    def __init__(self, readings: Iterable[FactReading]) -> None:
        self.sites: dict[str, list[Site]] = {}
        for reading in readings:
            record = reading.fact.expression.rpartition(".bodySite")[0]
            self.sites.setdefault("" if record == _REFERRAL else record, []).extend(sites_of([reading]))

    def beside(self, fact: Fact) -> list[Site]:
        """Those that narrow what a fact says, its own record's first."""
        parts = fact.expression.split(".")
        within = (".".join(parts[:length]) for length in range(len(parts) - 1, -1, -1))
        return [site for record in within for site in self.sites.get(record, ())]


_CODED: Mapping[str, str] = {"atc": "atc", "http://www.nlm.nih.gov/research/umls/rxnorm": "rxnorm"}


def coded_drug(fact: Fact) -> Drug | None:
    """A causative drug by its ATC or RxNorm code."""
    if fact.coding is None:
        return None
    system = system_of(fact.coding.system)
    column = _CODED.get(system.kind) or _CODED.get(system.canonical.rstrip("/"))
    if column is None:
        return None
    rows = (row for row in table("drugs") if row[column] == fact.coding.code)
    return next((Drug(row["drug"], row["atc"], row["strength"] == "strong") for row in rows), None)
