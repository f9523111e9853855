"""Processes are killed under load as a power cut would, again and again: nothing acknowledged is lost."""

from __future__ import annotations

import time
from itertools import cycle

from tests.faults.load import writing
from tests.faults.waiting import until
from tests.faults.world import World

KILLS, WRITES = 28, 5_000
"""Of a storm on either engine: together more than 50 processes and 10,000 writes."""
PAUSE = 0.5


def test_a_storm_of_kills_loses_nothing_that_was_acknowledged(world: World, longer: int) -> None:
    world.start(workers=1)
    world.subscribe("status=completed")
    victims = cycle([*world.servers, *world.workers])
    with writing(world.bases, world.journal):
        while world.kills < KILLS * longer or world.journal.writes < WRITES * longer:
            reached = world.journal.writes + 50
            assert until(lambda reached=reached: world.journal.writes > reached), world.journal
            time.sleep(PAUSE)
            victim = next(victims)
            world.kill(victim)
            victim.start()
    world.settle()
    assert world.check(is_settled=True) == []
