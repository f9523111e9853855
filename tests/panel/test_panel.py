"""The panel of whole referrals: what is decided of each, with the table of what was taken for what.

``tuned`` was looked at while the rules were written, ``held-out`` was not: its figure is the one to trust.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction

import pytest

from referral_service.intake import Site
from tests.panel.panel import Judged, confusion, empty_site, judged, rows

FLOORS: Mapping[str, Mapping[str, Fraction]] = {
    "tuned": {"disposition": Fraction(609, 618), "code": Fraction(615, 618), "assertion": Fraction(432, 443)},
    "held-out": {"disposition": Fraction(96, 100), "code": Fraction(100, 100), "assertion": Fraction(83, 88)},
}
PAIRS: Mapping[str, Callable[[Judged], list[tuple[str, str]]]] = {
    "disposition": lambda one: [(one.expect["disposition"], one.decision.disposition.value)],
    "queue": lambda one: [(one.expect["queue"] or "", one.queue)],
    "code": lambda one: [(one.code if one.code in one.expect["codes"] else _best(one), one.code)],
    "assertion": lambda one: [(mention["assertion"], said) for mention, said in one.mentions()],
}


def _best(one: Judged) -> str:
    return next(iter(one.expect["codes"]), "")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    site = empty_site()
    yield site
    site.store.close()


@pytest.mark.parametrize("split", FLOORS)
def test_the_panel_is_decided_as_well_as_it_has_been(
    split: str, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    every = judged(rows(split), site)
    shares: dict[str, Fraction] = {}
    with capsys.disabled():
        for name, pairs in PAIRS.items():
            listed = [pair for one in every for pair in pairs(one)]
            right = sum(expected == got for expected, got in listed)
            shares[name] = Fraction(right, len(listed))
            print(f"\npanel, {split}, {name}: {right} of {len(listed)} ({right / len(listed):.1%})")
            print(*confusion(listed), sep="\n")
    fallen = {name: shares[name] for name, floor in FLOORS[split].items() if shares[name] < floor}
    assert fallen == {}, [(one.row["id"], one.faults) for one in every if one.faults]


@pytest.mark.parametrize("split", FLOORS)
def test_nothing_said_against_a_dystonia_gives_a_code(split: str, site: Site) -> None:
    against = [one.row["id"] for one in judged(rows(split), site) if one.coded_against_the_words]
    assert against == []
