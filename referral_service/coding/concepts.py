"""What words and codes mean, as plain tables: the only thing that the rules of coding know of terminology.

``fhir.terminology`` fills these tables from ``profiles/``; nothing here knows where they come from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from referral_service.referral import CodePair, Coding

FINDING = "https://referral-service.example/fhir/CodeSystem/finding"
ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"
ICD10 = "http://hl7.org/fhir/sid/icd-10"

NUMBER = "#"
"""Stands for any number in a term of several words, as in "over # weeks"."""
YEAR = "yyyy"
"""Stands for a calendar year, as in "in yyyy"."""

_WORD = re.compile(r"[^\W_]+|#")
APOSTROPHES = "'`\u2018\u2019\u02bc\u00b4"
"""The typewriter's, and those that word processors put in its place."""
_APOSTROPHE = re.compile(f"[{APOSTROPHES}]")


class Kind(StrEnum):
    """What a finding says of the question whether this is a dystonia."""

    DYSTONIA = "dystonia"
    NEIGHBOUR = "neighbour"
    MOVEMENT = "movement"
    TONE = "tone"
    ELSEWHERE = "elsewhere"
    RED_FLAG = "red-flag"
    CONTEXT = "context"
    """Says nothing alone; counts beside another finding (sudden, after a fall, withdrawal)."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one term or one code stands for.

    ``code`` is the billable ICD-10-CM code of a dystonia, empty for other kinds. ``generic`` says that other evidence
    narrows it (headers, "dystonia" alone), ``broad`` that it stands beside any more specific code without conflict.
    ``switch`` names the policy key that decides between ``code`` and ``alternatives`` (ICD-10-CM). ``context`` names
    the kind of words that an ambiguous abbreviation needs. ``with_drug`` is the code when a drug is stated as cause.
    """

    finding: Coding
    kind: Kind
    code: str = ""
    generic: bool = False
    broad: bool = False
    contested: bool = False
    switch: str = ""
    alternatives: tuple[str, ...] = ()
    context: str = ""
    with_drug: str = ""
    excludes_g24: bool = False


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """All tables. Compared by identity, so that what is derived from one can be cached.

    ``terms``: normalised term -> meanings. ``codes``: (canonical system, code) -> meaning. ``neighbours``: category of
    ICD-10 -> meaning, for every code at or below it. ``pairs``: ICD-10-CM code -> itself and its WHO roll-up.
    """

    terms: Mapping[str, tuple[Meaning, ...]]
    codes: Mapping[tuple[str, str], Meaning]
    neighbours: Mapping[str, Meaning]
    findings: Mapping[str, Meaning]
    pairs: Mapping[str, CodePair]


def words_of(term: str) -> tuple[str, ...]:
    """A term as it is compared: lower case, no apostrophes, hyphens and spaces alike."""
    return tuple(_WORD.findall(_APOSTROPHE.sub("", term).lower()))


def key_of(term: str) -> str:
    return " ".join(words_of(term))
