"""Writers of one SQLite file who come together share a wait for the disk, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from referral_service.store import tables
from referral_service.store.engine import Store, open_store
from referral_service.store.migrations import upgrade
from referral_service.store.writes import KeyTaken, insert_all

TOGETHER = 6


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    upgrade(opened)
    yield opened
    opened.close()


def _row(identity: str, body: bytes = b"") -> dict[str, object]:
    own = {"id": identity, "client": "c", "request_id": "q", "door": "create", "result": "decided", "at": "2026"}
    return {**own, "body": body}


def _write(store: Store, identity: str, meeting: Barrier | None = None, body: bytes = b"") -> str:
    """What became of one quick writer; all of a ``meeting`` begin at the same moment."""
    if meeting is not None:
        meeting.wait()
    try:
        with store.writing(is_quick=True) as connection:
            insert_all(connection, {tables.received: [_row(identity, body)]})
    except KeyTaken:
        return "taken"
    except OperationalError:
        return "not durable"
    return "written"


def _together(store: Store, identities: list[str], body: bytes = b"") -> list[str]:
    meeting = Barrier(len(identities))
    with ThreadPoolExecutor(len(identities)) as threads:
        return list(threads.map(lambda one: _write(store, one, meeting, body), identities))


def _ids(store: Store) -> list[str]:
    with store.reading() as connection:
        return list(connection.execute(tables.received.select().order_by("id")).scalars())


def test_quick_writers_who_come_together_share_commits_and_a_lone_one_waits_for_nobody(store: Store) -> None:
    commits: list[object] = []
    event.listen(store.engine, "commit", commits.append)
    names = [[f"{round_}{one}" for one in "abcdef"] for round_ in range(20)]
    assert [_together(store, some) for some in names] == [["written"] * TOGETHER] * 20
    assert len(commits) < 20 * TOGETHER
    assert _ids(store) == sorted(one for some in names for one in some)
    before = len(commits)
    assert (_write(store, "alone"), len(commits)) == ("written", before + 1)


def test_who_fails_takes_back_its_own_part_alone(store: Store) -> None:
    assert _write(store, "a") == "written"
    for round_ in range(20):
        others = [f"{round_}-{one}" for one in "bcdef"]
        assert sorted(_together(store, ["a", *others])) == ["taken", *["written"] * 5]
    assert len(_ids(store)) == 1 + 20 * 5


def test_nobody_is_told_of_what_the_database_has_taken_back(store: Store) -> None:
    """A full disk ends the transaction of all who share it."""
    assert store.writers is not None
    with store.writing() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        connection.execute(text(f"PRAGMA max_page_count = {pages + 40}"))
    told: dict[str, str] = {}
    for round_ in range(6):
        names = [f"{round_}{one}" for one in "abcdef"]
        told |= dict(zip(names, _together(store, names, b"x" * 20_000), strict=True))
    assert set(told.values()) == {"written", "not durable"}
    assert _ids(store) == sorted(one for one, became in told.items() if became == "written")


def test_work_that_may_take_long_is_committed_by_itself(store: Store) -> None:
    with ThreadPoolExecutor(1) as threads:
        with store.writing() as connection:
            insert_all(connection, {tables.received: [_row("long")]})
            behind = threads.submit(_write, store, "quick")
            assert _ids(store) == []
        assert "long" in _ids(store)
        assert behind.result() == "written"
    assert _ids(store) == ["long", "quick"]


def test_a_part_that_cannot_be_taken_back_takes_nothing_of_it_along(store: Store) -> None:
    """As when the disk fails while SQLite reads what it would take back."""
    assert store.writers is not None

    def broken(*told: object) -> None:
        if str(told[2]).startswith("ROLLBACK TO"):
            raise OperationalError(str(told[2]), None, RuntimeError("disk I/O error"))

    def half() -> None:
        with store.writing(is_quick=True) as connection:
            insert_all(connection, {tables.received: [_row("half")]})
            raise ZeroDivisionError

    event.listen(store.engine, "before_cursor_execute", broken)
    with pytest.raises(OperationalError):
        half()
    event.remove(store.engine, "before_cursor_execute", broken)
    assert (_write(store, "next"), _ids(store)) == ("written", ["next"])
