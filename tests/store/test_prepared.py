"""Statements straight through libpq: prepared once they are worth it, found again when forgotten, errors as ever."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from psycopg import errors
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from referral_service.store import prepared, tables
from referral_service.store.engine import Store, open_store
from referral_service.store.migrations import upgrade
from referral_service.store.writes import KeyTaken, insert_all, overtaking


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    """With one connection, so that what a test asks next goes to the same."""
    opened = open_store(postgres_url, pool_size=1)
    upgrade(opened)
    yield opened
    opened.close()


def _received(identity: str, **values: Any) -> dict[str, Any]:
    own = {"id": identity, "client": "c", "request_id": "q", "door": "create", "result": "decided", "at": "2026"}
    return {**own, **values}


def _write(store: Store, *identities: str, **values: Any) -> None:
    with store.writing() as connection:
        insert_all(connection, {tables.received: [_received(one, **values) for one in identities]}, is_all=True)


def _ids(store: Store) -> list[str]:
    with store.reading() as connection:
        return list(connection.execute(tables.received.select().order_by("id")).scalars())


def _kept(store: Store) -> list[str]:
    """The texts of our own statements that PostgreSQL holds for the connection, the oldest first."""
    held = "SELECT statement FROM pg_prepared_statements WHERE name LIKE 'own%' ORDER BY prepare_time"
    with store.reading() as connection:
        return list(connection.execute(text(held)).scalars())


def _ask(store: Store, sql: str, *values: Any) -> Sequence[Any]:
    with store.asking() as connection:
        return prepared.rows(connection, sql, values)


def test_a_statement_is_prepared_at_its_third_use_and_answers_alike_before_and_after(store: Store) -> None:
    sql = "SELECT $1::bigint + 1, $2::text, NULL::text"
    answers = [(_ask(store, sql, number, "a"), _kept(store)) for number in range(4)]
    assert answers == [([(number + 1, "a", None)], [sql] if number >= 2 else []) for number in range(4)]


def test_a_statement_that_the_driver_has_had_forgotten_is_asked_all_the_same_and_kept_anew(store: Store) -> None:
    sql = "SELECT $1::text"
    for _ in range(3):
        _ask(store, sql, "before")
    with store.engine.connect() as connection:
        connection.exec_driver_sql("DEALLOCATE ALL")
    assert _kept(store) == []
    assert [_ask(store, sql, "after") for _ in range(2)] == [[("after",)]] * 2
    assert _kept(store) == [sql]


def test_of_many_statements_the_oldest_makes_room(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared, "_MOST", 2)
    for number in range(3):
        for _ in range(3):
            assert _ask(store, f"SELECT {number}") == [(number,)]
    assert _kept(store) == ["SELECT 1", "SELECT 2"]


def test_a_statement_that_no_connection_can_prepare_fails_each_time_with_the_drivers_error(store: Store) -> None:
    for _ in range(4):
        with pytest.raises(errors.UndefinedColumn):
            _ask(store, "SELECT of_none")
    assert _ids(store) == []


def test_what_is_all_of_a_transaction_is_written_at_once_and_whole_or_not_at_all(store: Store) -> None:
    for number in range(4):
        _write(store, f"{number}a", f"{number}b")
    with pytest.raises(KeyTaken):
        _write(store, "9", "0a")
    assert _ids(store) == [f"{number}{one}" for number in range(4) for one in "ab"]


def test_what_is_called_all_after_another_write_stays_part_of_its_transaction(store: Store) -> None:
    def half(connection: Connection) -> None:
        insert_all(connection, {tables.received: [_received("a")]})
        insert_all(connection, {tables.received: [_received("b")]}, is_all=True)
        raise ZeroDivisionError

    for _ in range(4):
        with pytest.raises(ZeroDivisionError), store.writing() as connection:
            half(connection)
    assert _ids(store) == []


def test_a_question_within_a_transaction_sees_what_it_has_written(store: Store) -> None:
    with store.writing() as connection:
        insert_all(connection, {tables.received: [_received("a")]})
        assert not prepared.is_idle(connection)
    with store.asking() as connection:
        assert prepared.is_idle(connection)


@pytest.mark.parametrize("count", [1, 2])
def test_bytes_and_texts_of_every_kind_come_back_as_they_were(store: Store, count: int) -> None:
    body, told = bytes(range(256)), "Öz \\ \" ' 🙂 {}"
    for round_ in range(4):
        _write(store, *(f"{round_}{one}" for one in range(count)), body=body, answers=told)
    with store.reading() as connection:
        held = {(bytes(row.body), row.answers) for row in connection.execute(tables.received.select())}
    assert (held, len(_ids(store))) == ({(body, told)}, 4 * count)


@pytest.mark.parametrize("count", [1, 2])
def test_a_nul_in_a_text_is_refused_and_never_cuts_it_short(store: Store, count: int) -> None:
    for _ in range(4):
        with pytest.raises((errors.CharacterNotInRepertoire, errors.UntranslatableCharacter)):
            _write(store, *"ab"[:count], door="cut\0here")
    assert _ids(store) == []


def test_no_error_quotes_a_value(store: Store) -> None:
    _write(store, "patient-1")
    with pytest.raises(errors.UniqueViolation) as caught, store.writing() as connection:
        prepared.run(connection, "INSERT INTO received SELECT * FROM received", [])
    assert str(caught.value) == "PostgreSQL says 23505"


def test_a_connection_that_was_ended_is_said_to_be_away_and_the_next_is_another(store: Store) -> None:
    def end() -> None:
        with store.asking() as connection, overtaking(connection):
            prepared.rows(connection, "SELECT pg_terminate_backend(pg_backend_pid())::text", [])

    with pytest.raises(OperationalError):
        end()
    store.engine.dispose()
    assert _ask(store, "SELECT 1") == [(1,)]
