"""The clock of the machine is set back and forth under load."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.load import writing
from tests.faults.test_database import written
from tests.faults.world import World

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
"""Of the package faketime, which shows processes another time (https://github.com/wolfcw/libfaketime)."""
JUMPS = ("-1h", "+26h", "-300s", "+0")


@pytest.mark.skipif(not LIBRARIES, reason="libfaketime is not in /usr/lib")
def test_a_clock_that_jumps_loses_nothing(world: World) -> None:
    clock = world.folder / "clock"
    clock.write_text("+0", "ascii")
    world.settings |= {
        "LD_PRELOAD": str(LIBRARIES[0]),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    world.start(workers=1)
    world.subscribe("status=completed")
    with writing(world.bases, world.journal):
        for jump in JUMPS:
            written(world, 40)
            clock.write_text(jump, "ascii")
        written(world, 40)
    world.settle()
    assert world.check(is_settled=True) == []
