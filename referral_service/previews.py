"""Referrals in files decided by the same code as at the doors, with no store behind it but an empty one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from referral_service.app import site_of
from referral_service.fhir.terminology import profiles_folder
from referral_service.intake import Incoming, Site, preview
from referral_service.policy import load_policy
from referral_service.referral import Decision
from referral_service.store.engine import open_store
from referral_service.store.tables import metadata

JSON_KEYS = ("file", "disposition", "queue", "icd10cm", "icd10", "certainty", "flags")
_COLUMNS = ("file", "disposition", "queue", "icd10cm", "certainty", "flags", "why")


def decide_files(files: Iterable[Path], policy: Path | None, at: datetime) -> list[dict[str, Any]]:
    """One row a referral, decided on the day of ``at``: ``JSON_KEYS``, and ``issues`` with what was found."""
    with _site(policy) as site:
        return [_row(file, decision) for file in files for decision in _decide(site, file.read_bytes(), at)]


def read_ahead() -> None:
    """Decides one of the shipped examples, so that all that is read and put together for that is in memory."""
    examples = sorted((profiles_folder() / "examples" / "valid").iterdir(), key=lambda file: file.name)
    with _site(None) as site:
        _decide(site, examples[0].read_bytes(), datetime.now(UTC))


@contextmanager
def _site(policy: Path | None) -> Iterator[Site]:
    store = open_store("sqlite://")
    metadata.create_all(store.engine)
    yield site_of(store, load_policy(policy), "http://localhost")
    store.close()


def _decide(site: Site, text: bytes, at: datetime) -> list[Decision]:
    return preview(site, Incoming("local", "preview", "preview", text, at))


def _row(file: Path, decision: Decision) -> dict[str, Any]:
    return {
        "file": str(file),
        "disposition": decision.disposition.value,
        "queue": decision.queue.value if decision.queue else None,
        "icd10cm": decision.code.cm.code if decision.code else None,
        "icd10": decision.code.who.code if decision.code else None,
        "certainty": decision.certainty.value if decision.certainty else None,
        "flags": sorted(flag.value for flag in decision.flags),
        "issues": [
            {"severity": issue.severity.value, "rule": issue.rule, "expression": issue.expression}
            for issue in decision.issues
        ],
    }


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """The rows as aligned text; ``why`` lists what was refused or rejected for."""
    shown = [[_cell(row, column) for column in _COLUMNS] for row in rows]
    widths = [max(len(line[index]) for line in [list(_COLUMNS), *shown]) for index in range(len(_COLUMNS))]
    for line in [list(_COLUMNS), *shown]:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def _cell(row: dict[str, Any], column: str) -> str:
    if column == "why":
        errors = [issue for issue in row["issues"] if issue["severity"] in ("error", "fatal")]
        shown = [f"{issue['rule']} at {issue['expression'] or 'the text'}" for issue in errors[:2]]
        return "; ".join([*shown, f"and {len(errors) - 2} more"] if len(errors) > 2 else shown)
    value = row[column]
    return ", ".join(value) if isinstance(value, list) else value or "-"
