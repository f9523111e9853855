"""A world on each engine, and what was done to it, told at the end of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import postgres_folder
from tests.faults.world import ENGINES, Postgres, World, a_world

COUNTED = ("kills", "acknowledged writes", "scenarios")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults-long", action="store_true", help="Storms of ten times the length.")


@pytest.fixture
def longer(request: pytest.FixtureRequest) -> int:
    """How many times as long a storm is to be."""
    return 10 if request.config.getoption("--faults-long") else 1


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], Postgres]]:
    """A PostgreSQL that faults may happen to, started when it is first asked for."""
    started: list[Postgres] = []

    def get() -> Postgres:
        if not started:
            started.append(Postgres(folder))
        return started[0]

    with postgres_folder() as folder:
        yield get
        for one in started:
            one.close()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def world(
    engine: str, tmp_path: Path, postgres: Callable[[], Postgres], record_property: Callable[[str, Any], None]
) -> Iterator[World]:
    with a_world(engine, tmp_path, postgres) as made:
        yield made
        record_property("kills", made.kills)
        record_property("acknowledged writes", made.journal.writes)
        record_property("scenarios", 1)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    counted = dict.fromkeys(COUNTED, 0)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "teardown":
                for name, value in report.user_properties:
                    counted[name] = counted.get(name, 0) + value
    told = ", ".join(f"{value} {name}" for name, value in counted.items())
    terminalreporter.write_line(f"faults: {told}")
