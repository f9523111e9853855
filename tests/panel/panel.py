"""Whole referrals with what is expected of each, decided as $preview decides them.

A line of an ``.ndjson`` file is one referral: ``resource`` (a ServiceRequest or Bundle), ``received_on``, ``expect``
and ``because``. Of ``codes`` any one is right, the first is the best.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

from referral_service.app import site_of
from referral_service.intake import Incoming, Site, preview
from referral_service.policy import load_policy
from referral_service.referral import Assertion, Decision
from referral_service.store.engine import open_store
from referral_service.store.tables import metadata

Row = Mapping[str, Any]
HERE = Path(__file__).parent
_NOON = time(12, tzinfo=UTC)


def rows(split: str) -> list[Row]:
    return [json.loads(line) for line in (HERE / f"{split}.ndjson").read_text("utf-8").splitlines()]


def empty_site() -> Site:
    store = open_store("sqlite://")
    metadata.create_all(store.engine)
    return site_of(store, load_policy(), "http://localhost")


@dataclass(frozen=True, slots=True)
class Judged:
    """One referral of the panel with the decision on it; a request with several is judged by its first."""

    row: Row
    decision: Decision

    @property
    def expect(self) -> Row:
        return dict(self.row["expect"])

    @property
    def code(self) -> str:
        return self.decision.code.cm.code if self.decision.code else ""

    @property
    def queue(self) -> str:
        return self.decision.queue.value if self.decision.queue else ""

    @property
    def faults(self) -> list[str]:
        """What differs from what is expected, by name."""
        return [name for name, fits in self._checks() if not fits]

    def _checks(self) -> list[tuple[str, bool]]:
        expect, got = self.expect, self.decision
        flags = {flag.value for flag in got.flags}
        return [
            (f"disposition {got.disposition}", got.disposition == expect["disposition"]),
            (f"queue {self.queue}", self.queue == (expect["queue"] or "")),
            (f"code {self.code}", self.code in (expect["codes"] or [""])),
            (f"certainty {got.certainty}", (got.certainty or None) == expect["certainty"]),
            (f"flags {sorted(flags)}", flags.issuperset(expect.get("flags", []))),
            (f"too many flags {sorted(flags)}", flags.isdisjoint(expect.get("flags_absent", []))),
            *((f"{m['text']!r} {said}", said == m["assertion"]) for m, said in self.mentions()),
        ]

    def mentions(self) -> list[tuple[Row, str]]:
        """Each labelled mention with the assertion that was read where the words overlap or of a code beside them."""
        return [(mention, self._said(mention)) for mention in self.expect.get("mentions", [])]

    def _said(self, mention: Row) -> str:
        words, wanted = mention["text"].lower(), mention["assertion"]
        seen = (e for e in self.decision.evidence if e.text is None or _overlap(e.text.lower(), words))
        said = [evidence.assertion.value for evidence in seen]
        return wanted if wanted in said else next(iter(said), "unseen")

    @property
    def coded_against_the_words(self) -> bool:
        """A code although nothing that was labelled is said of the patient now."""
        labelled = [Assertion(mention["assertion"]) for mention in self.expect.get("mentions", [])]
        return bool(self.code) and bool(labelled) and not self.expect["codes"]


def _overlap(first: str, second: str) -> bool:
    return first in second or second in first


def judged(listed: Iterable[Row], site: Site) -> list[Judged]:
    return [Judged(row, _decision(row, site)) for row in listed]


def _decision(row: Row, site: Site) -> Decision:
    at = datetime.combine(datetime.fromisoformat(row["received_on"]), _NOON)
    return preview(site, Incoming("panel", "preview", "panel", json.dumps(row["resource"]).encode(), at))[0]


def confusion(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Expected against got, one line a cell that is not empty, the wrong ones marked."""
    counted = Counter(pairs)
    return [
        f"{'  ' if expected == got else '! '}{expected or '-':28} {got or '-':28} {number:4}"
        for (expected, got), number in sorted(counted.items())
    ]
