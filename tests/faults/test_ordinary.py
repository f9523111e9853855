"""What happens in a short while violates nothing: the same scenarios by which seeded faults are found."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults import scenarios
from tests.faults.invariants import Violation
from tests.faults.tracing import needs_strace
from tests.faults.world import World

SHORT = (
    scenarios.ordinary_day,
    scenarios.power_cut,
    scenarios.cut_in_between,
    scenarios.same_at_once,
    scenarios.stale_moves,
    scenarios.worker_dies,
)


@pytest.mark.parametrize("scenario", SHORT)
def test_a_short_scenario_violates_nothing(world: World, scenario: Callable[[World], list[Violation]]) -> None:
    world.start(workers=1)
    assert scenario(world) == []


def test_each_acknowledgement_comes_after_the_log_was_synced(world: World) -> None:
    needs_strace()
    world.start()
    assert scenarios.durable_answers(world) == []
