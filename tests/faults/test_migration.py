"""The database is being brought up to date when the process is killed: the next one does all of it."""

from __future__ import annotations

import signal

import pytest

from tests.faults.scenarios import a_writer
from tests.faults.test_seeded import SEEDED
from tests.faults.world import World

STATEMENTS = (2, 9, 90)
"""Before which of the statements of an upgrade the process is killed."""


@pytest.mark.parametrize("statement", STATEMENTS)
def test_an_upgrade_that_was_killed_is_done_by_the_next(world: World, statement: int) -> None:
    killed = {"SEEDED_FAULT": "killed_in_migration", "SEEDED_STATEMENT": str(statement), "PYTHONPATH": str(SEEDED)}
    assert world.command("db", "upgrade", **killed).returncode == -signal.SIGKILL
    world.kills += 1
    assert world.command("db", "check").returncode == 1
    assert world.command("db", "upgrade").returncode == 0
    assert world.command("db", "check").returncode == 0
    world.start(servers=1)
    a_writer(world).create()
    assert world.check() == []
