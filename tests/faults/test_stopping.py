"""A server is told to stop while requests are under way: each is answered, or was never taken."""

from __future__ import annotations

from tests.faults.load import writing
from tests.faults.test_database import written
from tests.faults.world import World

STOPS = 3
SECONDS_TO_STOP = 30


def test_a_server_that_is_stopped_answers_what_it_has_taken(world: World) -> None:
    world.start()
    server = world.servers[0]
    with writing(world.bases, world.journal, anew=True):
        for _ in range(STOPS):
            written(world, 40)
            assert server.process is not None
            server.process.terminate()
            assert server.process.wait(SECONDS_TO_STOP) == 0
            server.start()
        written(world, 40)
    taken = {row[0] for row in world.ask("SELECT request_id FROM received")}
    assert taken & set(world.journal.unanswered) == set()
    assert world.check() == []
    assert "Traceback" not in server.log.read_text("utf-8")
