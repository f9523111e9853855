"""Reads the panels that the tests of coding share."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path

from referral_service.referral import AgeInterval, Coding, Fact, Place

SYSTEMS = {
    "cm": "http://hl7.org/fhir/sid/icd-10-cm",
    "who": "http://hl7.org/fhir/sid/icd-10",
    "gm": "http://fhir.de/CodeSystem/bfarm/icd-10-gm",
    "icd9": "http://hl7.org/fhir/sid/icd-9-cm",
    "sct": "http://snomed.info/sct",
    "hpo": "http://human-phenotype-ontology.org",
    "orpha": "http://www.orpha.net",
    "mondo": "http://purl.obolibrary.org/obo/mondo",
    "doid": "http://purl.obolibrary.org/obo/doid",
    "atc": "http://www.whocc.no/atc",
    "local": "urn:oid:1.2.3.4.5",
}


def rows(path: Path) -> list[dict[str, str]]:
    lines = (line for line in path.read_text("utf-8").splitlines() if not line.startswith("# "))
    return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def facts_of(written: str) -> list[Fact]:
    return list(_facts(written.replace("\\n", "\n")))


def _facts(written: str) -> Iterator[Fact]:
    concept = -1
    for number, part in enumerate(written.split(" || ")):
        cut = min(at for at in (part.find("="), part.find("@")) if at >= 0)
        place, value = part[:cut], part[cut + 1 :]
        concept += 0 if place.endswith("+") else 1
        where = Place(place.rstrip("+"))
        at, holder = f"fact[{number}]", f"concept[{concept}]"
        if part[cut] == "=":
            yield Fact(at, holder, where, text=value)
        else:
            system, code, display = value.split("|")
            yield Fact(at, holder, where, coding=Coding(SYSTEMS[system], code, display))


def age_of(row: Mapping[str, str]) -> AgeInterval | None:
    return AgeInterval(date(2026, 1, 1), int(row["age"]), int(row["age"])) if row["age"] else None
