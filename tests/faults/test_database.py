"""PostgreSQL is stopped, cuts connections, has none left or waits: callers are told to come back, and it goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import psycopg
import pytest

from tests.faults.load import Answer, writing
from tests.faults.scenarios import a_writer
from tests.faults.waiting import until
from tests.faults.world import Postgres, World, is_ready
from tests.shapes import referral

pytestmark = pytest.mark.parametrize("engine", ["postgresql"])
SECONDS_TO_SAY_SO = 5
CUTS, TERMINATIONS = 4, 20


def database_of(world: World) -> Postgres:
    assert world.postgres is not None
    return world.postgres


def refused_in_time(world: World, name: str) -> list[tuple[int, bool, bool]]:
    """What each server says to a referral: status, whether it says when to come back, and in time."""
    found = []
    for number in range(len(world.servers)):
        began = time.monotonic()
        answer: Answer = world.door(first=number).once("POST", "/ServiceRequest", referral(f"{name}-{number}"))
        took = time.monotonic() - began
        found.append((answer.status, "retry-after" in answer.headers, took < SECONDS_TO_SAY_SO))
    return found


IN_TIME = [(503, True, True)] * 2


def goes_on(world: World) -> bool:
    """Whether both servers take referrals again, the same processes as before."""
    before = [server.process for server in world.servers]
    a_writer(world).create()
    ready = until(lambda: all(is_ready(base) for base in world.bases))
    return ready and [server.process for server in world.servers] == before


def test_without_a_database_all_are_told_to_come_back_and_with_it_all_goes_on(world: World) -> None:
    world.start(workers=1)
    a_writer(world).create()
    database_of(world).stop()
    assert refused_in_time(world, "gone") == IN_TIME
    assert until(lambda: not any(is_ready(base) for base in world.bases))
    database_of(world).start()
    assert goes_on(world)
    assert world.check() == []


def test_a_database_that_is_cut_off_under_load_loses_nothing(world: World) -> None:
    world.start(workers=1)
    world.subscribe("status=completed")
    with writing(world.bases, world.journal):
        for _ in range(CUTS):
            written(world, 50)
            database_of(world).stop()
            world.kills += 1
            time.sleep(0.5)
            database_of(world).start()
        written(world, 50)
    world.settle()
    assert world.check(is_settled=True) == []


def written(world: World, more: int) -> None:
    """Waits until so many further writes are acknowledged."""
    wanted = world.journal.writes + more
    assert until(lambda: world.journal.writes >= wanted), world.journal.answers


def test_connections_that_are_cut_under_load_lose_nothing(world: World) -> None:
    world.start(workers=1)
    world.subscribe("status=completed")
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    cut = 0
    with writing(world.bases, world.journal):
        for _ in range(TERMINATIONS):
            written(world, 10)
            cut += len(world.ask(f"SELECT pg_terminate_backend(pid) {others}"))
    assert cut >= TERMINATIONS
    world.settle()
    assert world.check(is_settled=True) == []


def test_when_all_connections_are_taken_all_are_told_to_come_back(world: World) -> None:
    world.start()
    a_writer(world).create()
    with no_connection_left(world):
        assert refused_in_time(world, "full") == IN_TIME
    assert goes_on(world)
    assert world.check() == []


@contextmanager
def no_connection_left(world: World) -> Iterator[None]:
    """Somebody else holds every connection that the database gives out."""
    with ExitStack() as taken:
        mine: list[psycopg.Connection] = []

        def take_all() -> None:
            with suppress(psycopg.OperationalError):
                while True:
                    mine.append(taken.enter_context(psycopg.connect(world.url, autocommit=True)))

        take_all()
        held = [one.info.backend_pid for one in mine]
        ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        mine[0].execute(f"{ours} AND NOT pid = ANY(%s)", [held])
        time.sleep(0.5)
        take_all()
        yield


def test_a_lock_that_is_not_let_go_keeps_nobody_waiting_for_long(world: World) -> None:
    world.start()
    with psycopg.connect(world.url) as other:
        other.execute("LOCK TABLE service_request IN ACCESS EXCLUSIVE MODE")
        assert refused_in_time(world, "locked") == IN_TIME
    assert goes_on(world)
    assert world.check() == []
