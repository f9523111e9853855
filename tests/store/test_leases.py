"""A row is in one worker's hands at a time, for as long as its lease, whatever becomes of the worker."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select

from referral_service.store import leases, tables
from referral_service.store.engine import Store, instant

NOON = datetime(2026, 3, 16, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
AT = instant(NOON)


def add(store: Store, *due: datetime | None) -> None:
    """One alert with a message a moment, in this order of steps."""
    facts = {"client": "north", "at": AT}
    with store.writing() as connection:
        connection.execute(
            insert(tables.received).values(id="q", request_id="r", door="create", result="decided", **facts)
        )
        connection.execute(insert(tables.alert).values(id="a", kind="red-flag", hold=0, received_id="q", **facts))
        for step, moment in enumerate(due):
            row = {"alert_id": "a", "step": step, "client": "north", "attempts": 0}
            connection.execute(insert(tables.notice).values(due=instant(moment) if moment else None, **row))


def claim(store: Store, at: datetime) -> Any:
    with store.writing() as connection:
        return leases.claim(connection, tables.notice, at)


def finish(store: Store, row: Any) -> bool:
    with store.writing() as connection:
        return leases.finish(connection, tables.notice, row, sent_at=AT)


def postpone(store: Store, row: Any, until: datetime) -> bool:
    with store.writing() as connection:
        return leases.postpone(connection, tables.notice, row, until, fault="timeout")


def rows(store: Store) -> list[tuple[Any, ...]]:
    notice = tables.notice
    with store.reading() as connection:
        query = select(notice.c.step, notice.c.due, notice.c.attempts, notice.c.sent_at, notice.c.fault)
        return [tuple(row) for row in connection.execute(query.order_by(notice.c.step))]


def test_the_row_due_for_longest_is_taken_first_and_none_before_its_time(store: Store) -> None:
    add(store, NOON, NOON - SECOND, NOON + SECOND, None)
    taken = [claim(store, NOON) for _ in range(3)]
    assert [row and (row["step"], row["attempts"]) for row in taken] == [(1, 1), (0, 1), None]


def test_a_row_is_free_again_when_its_lease_ends_and_not_before(store: Store) -> None:
    add(store, NOON)
    first = claim(store, NOON)
    before, after = claim(store, NOON + timedelta(seconds=59)), claim(store, NOON + timedelta(seconds=60))
    assert (first["attempts"], before, after["attempts"]) == (1, None, 2)


def test_who_has_lost_the_lease_changes_nothing(store: Store) -> None:
    add(store, NOON)
    lost, held = claim(store, NOON), claim(store, NOON + leases.LEASE)
    assert (finish(store, lost), postpone(store, lost, NOON)) == (False, False)
    assert rows(store) == [(0, instant(NOON + 2 * leases.LEASE), 2, None, None)]
    assert finish(store, held)
    assert rows(store) == [(0, None, 2, AT, None)]


def test_what_is_put_off_is_due_again_then(store: Store) -> None:
    add(store, NOON)
    assert postpone(store, claim(store, NOON), NOON + 5 * SECOND)
    assert rows(store) == [(0, instant(NOON + 5 * SECOND), 1, None, "timeout")]
    assert claim(store, NOON + 4 * SECOND) is None
    assert claim(store, NOON + 5 * SECOND)["attempts"] == 2


def test_what_was_called_off_in_hand_is_not_put_off_but_its_success_is_kept(store: Store) -> None:
    add(store, NOON)
    row = claim(store, NOON)
    with store.writing() as connection:
        connection.execute(tables.notice.update().values(due=None))
    assert not postpone(store, row, NOON)
    assert finish(store, row)
    assert rows(store) == [(0, None, 1, AT, None)]


def test_the_next_moment_is_the_earliest_also_when_it_has_passed(store: Store) -> None:
    add(store, NOON + SECOND, NOON - SECOND, None)
    with store.reading() as connection:
        assert leases.next_due(connection, tables.notice) == instant(NOON - SECOND)


def test_nothing_to_do_has_no_next_moment(store: Store) -> None:
    add(store, None)
    with store.reading() as connection:
        assert leases.next_due(connection, tables.notice) is None


def test_a_second_worker_passes_over_what_the_first_has_locked(postgres_store: Store) -> None:
    opened = _emptied(postgres_store)
    add(opened, NOON, NOON + SECOND)
    with opened.writing() as one, opened.writing() as other:
        taken = [leases.claim(connection, tables.notice, NOON + SECOND) for connection in (one, other)]
        third = leases.claim(other, tables.notice, NOON + SECOND)
    assert [row and row["step"] for row in (*taken, third)] == [0, 1, None]


def test_many_workers_at_once_take_each_row_once(store: Store) -> None:
    add(store, *[NOON] * 20)
    taken: list[int] = []

    def work() -> None:
        while (row := claim(store, NOON)) is not None:
            taken.append(row["step"])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(20))


@pytest.fixture
def stopping() -> threading.Event:
    return threading.Event()


def test_a_ring_is_heard_after_the_commit_and_never_after_a_rollback(
    postgres_store: Store, stopping: threading.Event
) -> None:
    with leases.listening(postgres_store, stopping) as hear:
        heard = _rings(hear)
        with pytest.raises(ZeroDivisionError):
            _ring_and_fail(postgres_store)
        with postgres_store.writing() as connection:
            leases.ring(connection)
            assert not heard.wait(0.2)
        assert heard.wait(20)


def _ring_and_fail(store: Store) -> None:
    with store.writing() as connection:
        leases.ring(connection)
        raise ZeroDivisionError


def _rings(hear: leases.Bell) -> threading.Event:
    heard = threading.Event()

    def listen() -> None:
        hear(30)
        heard.set()

    threading.Thread(target=listen).start()
    return heard


def test_whoever_listens_stops_when_told(store: Store, stopping: threading.Event) -> None:
    stopping.set()
    with leases.listening(store, stopping) as hear:
        hear(600)


def _emptied(store: Store) -> Store:
    with store.writing() as connection:
        connection.exec_driver_sql("TRUNCATE received CASCADE")
    return store
