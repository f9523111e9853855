"""The audit trail holds: only ever added to, sealed in order, and what was done to it since is found and named."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from referral_service.fhir.audit import Access, Event, Who
from referral_service.intake import Incoming, Site, receive
from referral_service.sealing import Sealer, verify
from referral_service.store import audit
from referral_service.store.engine import Connection, Store, instant
from tests.conftest import APPEND_ONLY
from tests.shapes import referral

AT = datetime(2026, 3, 16, 12, 0, tzinfo=UTC)
WHO = Who("p-1", "Sam Porter", "person", "local", ("coordinator",), "192.0.2.7")
PATIENT = "00000000-0000-4000-8000-000000000001"


def event(number: int) -> Event:
    access = Access(WHO, f"request-{number}", "R", "read", "referral.example")
    referral = f"ServiceRequest/00000000-0000-4000-8000-1000000000{number:02}"
    return Event(f"e-{number:03}", instant(AT + timedelta(seconds=number)), access, "R", [referral], [PATIENT])


def add(store: Store, *numbers: int) -> None:
    with store.writing() as connection:
        audit.add(connection, [event(number) for number in numbers])


def seal(store: Store) -> bool:
    return Sealer(store, lambda: AT + timedelta(hours=1)).step()


@pytest.fixture
def sealed(store: Store) -> Store:
    """Two batches of three events, and two that are not sealed yet."""
    add(store, 1, 2, 3)
    assert seal(store)
    add(store, 4, 5, 6)
    assert seal(store)
    add(store, 7, 8)
    return store


def tamper(store: Store, *statements: str) -> None:
    """As somebody with the rights of the database's owner could."""
    with store.writing() as connection:
        again = switch_off(connection, store)
        for statement in statements:
            connection.execute(text(statement))
        for statement in again:
            connection.execute(text(statement))


def switch_off(connection: Connection, store: Store) -> list[str]:
    """Takes the triggers away, and gives what brings them back."""
    if store.is_shared:
        for table in APPEND_ONLY:
            connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        return [f"ALTER TABLE {table} ENABLE TRIGGER USER" for table in APPEND_ONLY]
    triggers = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")).all()
    for name, _ in triggers:
        connection.execute(text(f"DROP TRIGGER {name}"))
    return [made for _, made in triggers]


def test_a_trail_that_nobody_touched_verifies_with_its_tail(sealed: Store) -> None:
    found = verify(sealed)
    assert (found.sealed, found.tail, found.tail_since, found.fault) == (6, 2, "2026-03-16T12:00:07.000Z", None)
    assert found.sealed_at == "2026-03-16T13:00:00.000Z"


def test_an_empty_trail_verifies(store: Store) -> None:
    assert dataclasses.astuple(verify(store)) == (0, None, 0, None, None, None, 0)


_REST = "hash, actor, actor_kind, network, request_id, action, outcome, content"
COPY = (
    f"INSERT INTO audit_event (id, at, sequence, {_REST}) "
    f"SELECT {{id}}, at, {{sequence}}, {_REST} FROM audit_event WHERE id = {{of}}"
)
REPLACE = (
    f"REPLACE INTO audit_event ({{given}}id, at, sequence, {_REST}) "
    f"SELECT {{id}}, at, {{sequence}}, {_REST} FROM audit_event WHERE id = '{{of}}'"
)
BROKEN = "it is not as it was sealed"
UNFOUND = "it is not found by what it names"


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        (["UPDATE audit_event SET actor = 'p-2' WHERE id = 'e-002'"], f"batch 1, event 2 (e-002): {BROKEN}"),
        (
            ["UPDATE audit_event SET content = replace(content, 'Sam', 'Tom') WHERE id = 'e-005'"],
            f"batch 2, event 5 (e-005): {BROKEN}",
        ),
        (["UPDATE audit_event SET at = '2026-03-16T11:00:00.000Z' WHERE id = 'e-006'"], f"event 6 (e-006): {BROKEN}"),
        (["DELETE FROM audit_event WHERE id = 'e-004'"], "batch 2, event 4: it is missing"),
        (["DELETE FROM audit_event WHERE id = 'e-006'"], "batch 2, event 6: it is missing"),
        (
            [
                "DELETE FROM audit_event WHERE id = 'e-002'",
                "UPDATE audit_event SET sequence = 2 WHERE id = 'e-003'",
                "UPDATE audit_event SET sequence = 3 WHERE id = 'e-004'",
            ],
            f"batch 1, event 2 (e-003): {BROKEN}",
        ),
        (
            [
                "UPDATE audit_event SET sequence = 99 WHERE id = 'e-002'",
                "UPDATE audit_event SET sequence = 2 WHERE id = 'e-003'",
                "UPDATE audit_event SET sequence = 3 WHERE id = 'e-002'",
            ],
            f"batch 1, event 2 (e-003): {BROKEN}",
        ),
        ([COPY.format(id="'e-x'", sequence="7", of="'e-006'")], "event 7 (e-x): it stands in no batch"),
        ([COPY.format(id="'e-x'", sequence="0", of="'e-001'")], "batch 1, event 1: it is missing"),
        (["UPDATE audit_event SET sequence = NULL, hash = NULL WHERE id = 'e-006'"], "batch 2, event 6: it is missing"),
        (["DELETE FROM audit_seal WHERE batch = 1"], "batch 1 is missing"),
        (["DELETE FROM audit_seal WHERE batch = 2"], "event 4 (e-004): it stands in no batch"),
        (["UPDATE audit_seal SET hash = 'x' WHERE batch = 2"], "batch 2: its seal is not that of its events"),
        (["UPDATE audit_seal SET last = 4 WHERE batch = 2"], "batch 2: its seal is not that of its events"),
        (
            ["UPDATE audit_seal SET sealed_at = '2026-03-16T12:30:00.000Z' WHERE batch = 1"],
            "batch 1: its seal is not that of its events",
        ),
        ([f"DELETE FROM audit_entity WHERE event_id = 'e-003' AND reference = 'Patient/{PATIENT}'"], UNFOUND),
        ([f"DELETE FROM audit_entity WHERE event_id = 'e-008' AND reference = 'Patient/{PATIENT}'"], UNFOUND),
        (["INSERT INTO audit_entity VALUES ('e-002', 'Task/x', '2026-03-16T12:00:02.000Z')"], UNFOUND),
        (["DELETE FROM audit_event WHERE id = 'e-007'"], "event e-007 is gone, what it is found by is still here"),
    ],
)
def test_what_was_done_to_the_trail_is_named(sealed: Store, statements: list[str], words: str) -> None:
    tamper(sealed, *statements)
    assert words in str(verify(sealed).fault)


def test_a_trail_cut_off_at_a_seal_is_found_by_the_seal_that_was_noted(sealed: Store) -> None:
    last = verify(sealed).last
    assert last is not None
    noted = (last["batch"], last["hash"])
    assert verify(sealed, noted).fault is None
    tamper(
        sealed,
        "DELETE FROM audit_entity WHERE event_id IN ('e-004', 'e-005', 'e-006')",
        "DELETE FROM audit_event WHERE sequence > 3",
        "DELETE FROM audit_seal WHERE batch = 2",
    )
    assert verify(sealed).fault is None
    assert verify(sealed, noted).fault == "batch 2 is not the one whose hash was noted"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_event SET actor = 'p-2' WHERE id = 'e-002'",
        "UPDATE audit_event SET actor = 'p-2' WHERE id = 'e-008'",
        "UPDATE audit_event SET sequence = 9, hash = 'x', actor = 'p-2' WHERE id = 'e-008'",
        "UPDATE audit_event SET sequence = 9, hash = 'x' WHERE id = 'e-006'",
        "UPDATE audit_event SET sequence = NULL WHERE id = 'e-006'",
        "DELETE FROM audit_event WHERE id = 'e-002'",
        "DELETE FROM audit_event WHERE id = 'e-008'",
        "UPDATE audit_entity SET reference = 'Task/x' WHERE event_id = 'e-001'",
        "DELETE FROM audit_entity WHERE event_id = 'e-001'",
        "UPDATE audit_seal SET hash = 'x'",
        "DELETE FROM audit_seal",
    ],
)
def test_the_database_refuses_to_change_what_was_audited(sealed: Store, statement: str) -> None:
    with pytest.raises(DatabaseError, match="audit rows are only ever added"), sealed.writing() as connection:
        connection.execute(text(statement))
    assert verify(sealed).fault is None


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "statement",
    [
        REPLACE.format(given="", id="id", sequence="sequence", of="e-002"),
        REPLACE.format(given="", id="id", sequence="NULL", of="e-008"),
        REPLACE.format(given="", id="'e-x'", sequence="sequence", of="e-002"),
        REPLACE.format(given="rowid, ", id="rowid, 'e-x'", sequence="NULL", of="e-002"),
        "UPDATE OR REPLACE audit_event SET sequence = 2, hash = 'x' WHERE id = 'e-008'",
        "UPDATE OR REPLACE audit_event SET rowid = 2, sequence = 9, hash = 'x' WHERE id = 'e-008'",
        "REPLACE INTO audit_seal SELECT batch, first, last, hash, '2026-03-16T12:30:00.000Z' FROM audit_seal",
        "REPLACE INTO audit_entity SELECT event_id, reference, '2026-03-16T12:30:00.000Z' FROM audit_entity",
        "REPLACE INTO audit_entity (rowid, event_id, reference, at) SELECT rowid, 'x', 'y', at FROM audit_entity",
    ],
)
def test_nothing_is_put_in_the_place_of_what_was_audited(sealed: Store, statement: str) -> None:
    with pytest.raises(DatabaseError, match="audit rows are only ever added"), sealed.writing() as connection:
        connection.execute(text(statement))
    assert verify(sealed).fault is None


def guards(connection: Connection, store: Store) -> list[tuple[str, str]]:
    """Every trigger there is, and its table."""
    if store.is_shared:
        query = "SELECT tgname, tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal"
    else:
        query = "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'"
    return [(name, table) for name, table in connection.execute(text(query))]


def test_a_trigger_that_is_gone_or_switched_off_is_named(sealed: Store) -> None:
    with sealed.reading() as connection:
        standing = guards(connection, sealed)
    assert len(standing) == (13 if sealed.is_shared else 12)
    for name, table in standing:
        with sealed.writing() as connection:
            off = f"ALTER TABLE {table} DISABLE TRIGGER {name}" if sealed.is_shared else f"DROP TRIGGER {name}"
            again = [f"ALTER TABLE {table} ENABLE TRIGGER {name}"]
            if not sealed.is_shared:
                sql = text("SELECT sql FROM sqlite_master WHERE name = :name")
                again = [connection.execute(sql, {"name": name}).scalar_one()]
            connection.execute(text(off))
        words = f"the trigger {name}, which keeps the trail from being changed, is gone or switched off"
        assert verify(sealed).fault == words
        with sealed.writing() as connection:
            connection.execute(text(again[0]))
    assert verify(sealed).fault is None


CUT_OFF = (
    "DELETE FROM audit_entity WHERE event_id IN (SELECT id FROM audit_event WHERE coalesce(sequence, 9) > {last})",
    "DELETE FROM audit_event WHERE coalesce(sequence, 9) > {last}",
    "DELETE FROM audit_seal WHERE last > {last}",
)


@pytest.mark.parametrize("last", [0, 1])
def test_a_trail_cut_off_is_found_by_what_was_received_since(site: Site, last: int) -> None:
    for number in (1, 2):
        body = orjson.dumps(referral(f"A-{number}"))
        receive(site, Incoming("ehr", "test", f"r-{number}", body, AT + timedelta(seconds=number)), "ServiceRequest")
        assert seal(site.store)
    assert verify(site.store).fault is None
    tamper(site.store, *(statement.format(last=last) for statement in CUT_OFF))
    fault = str(verify(site.store).fault)
    assert fault.startswith("the event of what was received as ")
    assert fault.endswith(f" at 2026-03-16T12:00:0{last + 1}.000Z is gone")


def test_an_event_that_comes_late_is_sealed_later_whatever_its_time(sealed: Store) -> None:
    add(sealed, 0)
    assert seal(sealed)
    with sealed.reading() as connection:
        assert [row["id"] for row in audit.sealed_after(connection, 6, 9)] == ["e-000", "e-007", "e-008"]
    assert verify(sealed).fault is None


def test_nothing_is_sealed_twice_and_an_empty_tail_leaves_no_seal(sealed: Store) -> None:
    assert [seal(sealed), seal(sealed)] == [True, False]
    last = verify(sealed).last
    assert last is not None
    assert (last["batch"], last["first"], last["last"]) == (3, 7, 8)


def test_who_seals_waits_until_the_oldest_event_has_gathered_others(store: Store) -> None:
    sealer = Sealer(store, lambda: AT)
    assert sealer.next_due() is None
    add(store, 2, 1)
    assert sealer.next_due() == "2026-03-16T12:00:03.000Z"


def test_of_many_that_seal_at_once_each_event_is_sealed_once(store: Store) -> None:
    from concurrent.futures import ThreadPoolExecutor

    add(store, *range(1, 40))
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: seal(store), range(8)))
    found = verify(store)
    assert (any(taken), found.sealed, found.tail, found.fault) == (True, 39, 0, None)


def test_what_is_told_when_durable_is_not_told_of_what_was_rolled_back(store: Store) -> None:
    from referral_service.store.engine import when_durable

    told: list[str] = []

    def tell(word: str) -> Callable[[], None]:
        return lambda: told.append(word)

    def fails() -> None:
        with store.writing() as connection:
            when_durable(connection, tell("lost"))
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    with store.writing() as connection:
        when_durable(connection, tell("kept"))
    assert told == ["kept"]
