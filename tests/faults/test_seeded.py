"""The harness can fail: each fault that is put into the service on purpose is found by the rule that is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import scenarios
from tests.faults.invariants import Violation
from tests.faults.tracing import needs_strace
from tests.faults.world import World

SEEDED = Path(__file__).parent / "seeded"
Scenario = Callable[[World], list[Violation]]

FAULTS: list[tuple[str, str, Scenario, str]] = [
    # the fault             engine        what shows it              the rule that names it
    ("ack_before_commit", "sqlite", scenarios.power_cut, "acknowledged"),
    ("ack_before_commit", "postgresql", scenarios.power_cut, "acknowledged"),
    ("two_transactions", "postgresql", scenarios.cut_in_between, "bundle"),
    ("synchronous_off", "sqlite", scenarios.durable_answers, "durable"),
    ("logged_patient", "sqlite", scenarios.quiet_day, "canary"),
    ("swallowed_delivery", "sqlite", scenarios.ordinary_day, "delivered"),
    ("task_not_written", "sqlite", scenarios.quiet_day, "task"),
    ("audit_left_out", "sqlite", scenarios.quiet_day, "audited"),
    ("updated_in_place", "sqlite", scenarios.quiet_day, "history"),
    ("ledger_left_behind", "sqlite", scenarios.quiet_day, "ledger"),
    ("change_not_noted", "sqlite", scenarios.ordinary_day, "outbox"),
    ("lease_without_end", "postgresql", scenarios.worker_dies, "due"),
    ("if_match_not_compared", "sqlite", scenarios.stale_moves, "if-match"),
]


@pytest.mark.parametrize(
    ("fault", "engine", "scenario", "rule"), FAULTS, ids=[f"{fault}-{engine}" for fault, engine, *_ in FAULTS]
)
def test_a_seeded_fault_is_found(fault: str, world: World, scenario: Scenario, rule: str) -> None:
    if scenario is scenarios.durable_answers:
        needs_strace()
    world.settings |= {"SEEDED_FAULT": fault, "PYTHONPATH": str(SEEDED)}
    world.start(servers=1, workers=1)
    assert rule in {one.invariant for one in scenario(world)}


@pytest.mark.parametrize("engine", ["postgresql"])
def test_a_key_that_is_not_unique_is_found(world: World) -> None:
    world.start()
    world.change("ALTER TABLE request_key DROP CONSTRAINT pk_request_key")
    assert "once" in {one.invariant for one in scenarios.same_at_once(world)}
