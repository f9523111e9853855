"""A store is durable, its writers take turns, and it says which engines it takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from referral_service.store import tables
from referral_service.store.engine import Store, open_store
from referral_service.store.writes import KeyTaken, insert_all


def _received(identity: str) -> dict[str, str]:
    return {"id": identity, "client": "c", "request_id": "q", "door": "create", "result": "decided", "at": "2026"}


def _ids(store: Store) -> list[str]:
    with store.reading() as connection:
        return list(connection.execute(tables.received.select().order_by("id")).scalars())


def test_sqlite_waits_for_the_disk_and_keeps_readers_beside_the_writer(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    with store.reading() as connection:
        settings = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "temp_store")
        }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "temp_store": 2}
    store.close()


class _Away(Exception):
    pass


def _write_and_fail(store: Store) -> None:
    with store.writing() as connection:
        insert_all(connection, {tables.received: [_received("a")]})
        raise _Away


def test_a_transaction_that_fails_leaves_nothing(store: Store) -> None:
    with pytest.raises(_Away):
        _write_and_fail(store)
    assert _ids(store) == []


def test_a_key_that_is_taken_says_so_and_leaves_nothing_of_the_rest(store: Store) -> None:
    with store.writing() as connection:
        insert_all(connection, {tables.received: [_received("a")]})
    with pytest.raises(KeyTaken), store.writing() as connection:
        insert_all(connection, {tables.received: [_received("b"), _received("a")]})
    assert _ids(store) == ["a"]


@pytest.mark.parametrize("count", [1, 2, 32, 33, 500])
def test_any_number_of_rows_is_written_as_given_whatever_each_of_them_names(store: Store, count: int) -> None:
    rows = [
        {**_received(f"{number:03}"), **({"answers": f"a{number}"} if number % 2 else {})} for number in range(count)
    ]
    with store.writing() as connection:
        insert_all(connection, {tables.received: rows[::-1]})
    with store.reading() as connection:
        found = [dict(row) for row in connection.execute(tables.received.select().order_by("id")).mappings()]
    assert found == [{**dict.fromkeys(tables.received.columns.keys()), **row} for row in rows]


def test_parents_are_written_before_children_whatever_the_order_given(store: Store) -> None:
    row = {
        "received_id": "a",
        "position": 0,
        "client": "c",
        "at": "2026",
        "state": "refused",
        "red_flag": 0,
        "outcome": "",
        "rules": "",
    }
    with store.writing() as connection:
        insert_all(connection, {tables.ledger: [row], tables.received: [_received("a")]})
    assert _ids(store) == ["a"]


def test_other_engines_are_refused() -> None:
    with pytest.raises(ValueError, match="neither SQLite nor PostgreSQL"):
        open_store("mysql://localhost/referrals")
