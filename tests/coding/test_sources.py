"""Every row of clinical data says where it comes from, and no source is a place that a reader cannot go to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest

from referral_service.coding.tables import table
from referral_service.fhir.terminology import profiles_folder

TABLES = sorted(f.name.removesuffix(".tsv") for f in files("referral_service.coding").joinpath("data").iterdir())
TERM_SOURCE = "https://referral-service.example/fhir/StructureDefinition/term-source"
NO_SOURCE = re.compile(
    r"\.tsv|\b\w+_(?:map|codes|entries)\b|\b(?:contract|specification|issue|todo|trap)\b", re.IGNORECASE
)


def resources(kind: str) -> Iterator[dict[str, Any]]:
    for file in sorted(profiles_folder().iterdir(), key=lambda file: file.name):
        if file.name.startswith(f"{kind}-"):
            yield json.loads(file.read_bytes())


def source_of(designation: dict[str, Any]) -> str:
    return next((e["valueString"] for e in designation.get("extension", ()) if e["url"] == TERM_SOURCE), "")


def sourced() -> Iterator[tuple[str, str]]:
    """What has a source -> the source, of all tables, ConceptMap targets, findings and searched terms."""
    for name in TABLES:
        yield from ((f"{name}: {next(iter(row.values()))}", row["source"] or "") for row in table(name))
    for system in resources("CodeSystem"):
        for concept in system["concept"]:
            holder = f"{system['id']}: {concept['code']}"
            said = [p["valueString"] for p in concept.get("property", ()) if p["code"] == "source"]
            yield from ((holder, source) for source in said)
            yield from ((f"{holder}: {d['value']}", source_of(d)) for d in concept.get("designation", ()))
    for concept_map in resources("ConceptMap"):
        for group in concept_map["group"]:
            for element in group["element"]:
                for target in element["target"]:
                    yield f"{concept_map['id']}: {element['code']}", target.get("comment", "")


def test_every_row_target_and_term_names_its_source() -> None:
    every = list(sourced())
    assert len(every) > 8000
    assert [what for what, source in every if not source.strip()] == []


def test_no_source_is_a_file_or_paper_of_our_own() -> None:
    assert [(what, source) for what, source in sourced() if NO_SOURCE.search(source)] == []


def test_a_row_is_data_also_when_it_begins_with_a_number_sign() -> None:
    assert "# hours after" in {row["term"] for row in table("causes")}
    assert "# years ago" in {row["phrase"] for row in table("triggers")}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_whole_and_has_no_row_twice(name: str) -> None:
    rows = [tuple(row.items()) for row in table(name)]
    assert rows
    assert all(None not in dict(row) and all(value is not None for _, value in row) for row in rows)
    assert len({row[:-1] for row in rows}) == len(rows)


def test_red_flags_say_that_no_clinician_has_signed_them() -> None:
    assert {row["signed_by"] for row in table("red_flags")} == {"awaiting a clinician's signature"}
