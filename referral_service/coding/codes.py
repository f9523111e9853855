"""Codes as senders write them -> what they mean. Matched on system and code together, never on the code alone.

Systems come as URIs with and without a trailing slash, as ``urn:oid:`` and under older names (``data/systems.tsv``);
ICD codes without their dot, in lower case, with the German certainty suffix (V suspected, A excluded, Z past,
G confirmed; ICD-10-GM, section 295 SGB V).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from referral_service.coding.concepts import ICD10, ICD10CM, Kind, Meaning, Vocabulary
from referral_service.coding.tables import table
from referral_service.referral import Assertion, Coding

_ICD10 = re.compile(r"[A-Z][0-9][0-9A-Z](?:\.[0-9A-Z]{1,4})?")
_GM_SUFFIX = {"V": Assertion.SUSPECTED, "A": Assertion.NEGATED, "Z": Assertion.HISTORICAL, "G": Assertion.AFFIRMED}
_ICD_FAMILY = ("icd-10", "icd-10-gm")


@dataclass(frozen=True, slots=True)
class CodeReading:
    """``meaning`` is None when the code is not known; ``stance`` is what a suffix says."""

    meaning: Meaning | None
    stance: Assertion | None = None
    rule: str = "code:unknown"


@dataclass(frozen=True, slots=True)
class System:
    canonical: str
    prefix: str
    kind: str


@cache
def _systems() -> Mapping[str, System]:
    return {row["alias"].lower(): System(row["system"], row["prefix"], row["kind"]) for row in table("systems")}


@cache
def _neighbourhood() -> tuple[tuple[str, str], ...]:
    return tuple((row["first"], row["last"]) for row in table("neighbourhood"))


def system_of(uri: str) -> System:
    """The system behind a URI as sent; an unknown one is itself, so that local systems never match by look."""
    plain = uri.strip().split("|", 1)[0].rstrip("/").lower()
    known = _systems()
    for form in (plain, plain.replace("https://", "http://", 1)):
        if form in known:
            return known[form]
    if plain.startswith("http://snomed.info/sct/"):
        return known["http://snomed.info/sct"]
    return System(uri, "", "")


def read_code(coding: Coding, vocabulary: Vocabulary) -> CodeReading:
    """What a coding means. The display is not looked at here."""
    system = system_of(coding.system)
    code = coding.code.strip()
    if system.kind in _ICD_FAMILY:
        return _icd10(system, code, vocabulary)
    meaning = vocabulary.codes.get((system.canonical, _plain(system, code)))
    if meaning is None and system.kind == "own":
        meaning = vocabulary.findings.get(code)
    return CodeReading(meaning, None, "code:known") if meaning else CodeReading(None)


def _plain(system: System, code: str) -> str:
    upper = code.upper()
    if system.kind == "icd-9":
        return f"{upper[:3]}.{upper[3:]}" if re.fullmatch(r"\d{4,5}", upper) else upper
    if system.kind == "prefixed":
        return system.prefix + upper.removeprefix(system.prefix).replace("_", "")
    if system.kind == "orpha":
        return upper.removeprefix("ORPHA:").removeprefix("ORPHANET:").removeprefix("ORPHANET_")
    return code


def _icd10(system: System, code: str, vocabulary: Vocabulary) -> CodeReading:
    plain, stance = _undressed(system, code)
    if not _ICD10.fullmatch(plain):
        return CodeReading(None)
    rule = "code:known" if stance is None else f"code:suffix-{code[-1].lower()}"
    meaning = _g24(system, plain, vocabulary) or _beside_g24(plain, vocabulary)
    return CodeReading(meaning, stance, rule)


def _undressed(system: System, code: str) -> tuple[str, Assertion | None]:
    """The code with its dot, without signs (``†*!+-``) and the German suffix."""
    bare = re.sub(r"[\s†*!+]|\.?-$", "", code.upper())
    stance = _GM_SUFFIX.get(bare[-1:]) if system.kind == "icd-10-gm" and len(bare) > 3 else None
    if stance is not None:
        bare = bare[:-1]
    if "." not in bare and len(bare) > 3:
        bare = f"{bare[:3]}.{bare[3:]}"
    return bare, stance


def _g24(system: System, code: str, vocabulary: Vocabulary) -> Meaning | None:
    """Its own code, or the nearest code above it (a fifth character that the classification does not have)."""
    for length in range(len(code), 2, -1):
        for known in (system.canonical, ICD10CM, ICD10):
            meaning = vocabulary.codes.get((known, code[:length]))
            if meaning is not None:
                return meaning if length == len(code) else replace(meaning, contested=True)
    return None


def _beside_g24(code: str, vocabulary: Vocabulary) -> Meaning:
    for length in range(len(code), 2, -1):
        if code[:length] in vocabulary.neighbours:
            return vocabulary.neighbours[code[:length]]
    near = any(first <= code[:3] <= last for first, last in _neighbourhood())
    return vocabulary.findings["neighbourhood" if near else "elsewhere-code"]


def resolve(meaning: Meaning, contestable: Mapping[str, str], vocabulary: Vocabulary) -> Meaning:
    """The meaning after the policy's switch: another G24 code, or a neighbour when the policy names none."""
    chosen = contestable.get(meaning.switch, "") if meaning.switch else ""
    if not chosen or chosen == meaning.code:
        return meaning
    others = (meaning.code, *(code for code in meaning.alternatives if code != chosen))
    if vocabulary.codes.get((ICD10CM, chosen)) is not None and chosen in vocabulary.pairs:
        finding = vocabulary.codes[ICD10CM, chosen].finding
        return replace(meaning, finding=finding, code=chosen, alternatives=others)
    beside = _beside_g24(chosen, vocabulary)
    kind = beside.kind if beside.kind in (Kind.NEIGHBOUR, Kind.MOVEMENT) else Kind.NEIGHBOUR
    return replace(beside, kind=kind, alternatives=(meaning.code,))
