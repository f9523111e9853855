"""A whole site is written as one stream of lines and read again on either engine: all of it, or nothing."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import OperationalError

from referral_service.app import application, site_of
from referral_service.demo import seed
from referral_service.intake import Site
from referral_service.policy import load_policy
from referral_service.sealing import Sealer, verify
from referral_service.store import audit, ledger, retention, tables
from referral_service.store.engine import Store, instant, open_store
from referral_service.store.exporting import LEFT_OUT, export, in_order
from referral_service.store.importing import ImportRefused, import_all
from referral_service.store.migrations import head, upgrade
from tests.shapes import Caller, referral

AT = datetime(2026, 3, 16, 12, 0, tzinfo=UTC)


@pytest.fixture
def empty(store: Store, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty database that is up to date, on the other engine."""
    opened = open_store(
        f"sqlite:///{tmp_path / 'other.db'}" if store.is_shared else str(request.getfixturevalue("postgres_url"))
    )
    upgrade(opened)
    yield opened
    opened.close()


@pytest.fixture
def full(site: Site) -> Site:
    """Referrals of every kind, moved Tasks, a file, people, systems, deliveries, a trail that begins at an anchor."""
    seed(site, AT)
    app = application(site)
    caller = Caller(app.test_client(), site)
    made = caller.create(referral("N-1")).get_json(force=True)["id"]
    for status in ("accepted", "in-progress", "completed"):
        assert caller.move(caller.task_of(made), status=status).status_code == 200
    png = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
    assert app.test_client().post("/fhir/Binary", data=png, content_type="image/png").status_code == 201
    app.extensions["recorder"].settle()
    with site.store.writing() as connection:
        client = {"id": "ehr", "name": "E", "roles": "placer", "queues": "", "scopes": "", "bars": 0, "callbacks": ""}
        one = {"id": "p", "user_name": "ada", "shown_name": "Ada Example", "role": "lead", "queues": "", "failures": 0}
        connection.execute(insert(tables.client).values(**client, registered_at=instant(AT)))
        connection.execute(insert(tables.person).values(**one, added_at=instant(AT), password_hash="$argon2id$x"))
        connection.execute(insert(tables.session).values(id="s", person_id="p", ends_at=instant(AT)))
    for day in range(2):
        assert Sealer(site.store, lambda day=day: AT + timedelta(days=day)).step()
        assert caller.get("ServiceRequest").status_code == 200
        app.extensions["recorder"].settle()
    with site.store.writing() as connection:
        seal = retention.removable(connection, instant(AT))
        assert seal is not None
        connection.execute(text(TOLD.format(seal=f"{seal['batch']}:{seal['hash']}")))
        retention.drop_anchor(connection, seal, "told", AT)
        while retention.remove_before_anchor(connection):
            pass
    assert verify(site.store).fault is None
    return site


TOLD = (
    "INSERT INTO audit_event (id, at, actor, actor_kind, network, request_id, action, outcome, content) "
    "VALUES ('told', '2026-03-16T12:00:00.000Z', 'm', 'machine', '', '', 'D', '0', "
    """'{{"entity": [], "outcomeDesc": "removed by policy: audit until seal {seal}"}}')"""
)


def exported(store: Store) -> list[bytes]:
    out = BytesIO()
    export(store, "0.1.0", AT, out.write)
    return out.getvalue().splitlines(keepends=True)


def contents(store: Store) -> dict[str, list[Any]]:
    with store.reading() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in in_order()
        }


def nothing(store: Store) -> bool:
    return not any(contents(store).values())


def test_a_site_is_the_same_on_the_other_engine_and_so_is_its_export(full: Site, empty: Store) -> None:
    lines = exported(full.store)
    counts = import_all(empty, lines)
    assert contents(empty) == contents(full.store)
    assert {name for name, number in counts.items() if number} >= {
        *("service_request", "task", "resource", "history", "ledger", "received", "token", "status_change", "outbox"),
        *("audit_event", "audit_entity", "audit_anchor", "client", "person", "session", "binary_content", "alert"),
    }
    assert exported(empty) == lines
    before, after = verify(full.store), verify(empty)
    assert (after.fault, after.last, after.sealed, after.removed) == (None, before.last, before.sealed, before.removed)
    assert before.removed > 0


def test_an_imported_site_goes_on(full: Site, empty: Store) -> None:
    import_all(empty, exported(full.store))
    site = site_of(empty, load_policy(), "http://localhost")
    app = application(site)
    caller = Caller(app.test_client(), site)
    old, new = Caller(application(full).test_client(), full), caller
    for one in old.stored("ServiceRequest")[:5]:
        for path in (one["id"], f"{one['id']}/$original", f"{one['id']}/_history"):
            assert new.get(f"ServiceRequest/{path}").data == old.get(f"ServiceRequest/{path}").data
    assert caller.create(referral("N-1")).status_code in (200, 201)
    made = caller.create(referral("N-2"))
    assert made.status_code == 201
    assert caller.move(caller.task_of(made.get_json(force=True)["id"]), status="accepted").status_code == 200
    app.extensions["recorder"].settle()
    assert Sealer(empty, lambda: datetime.now(UTC)).step()
    assert verify(empty).fault is None


def test_the_first_line_says_what_follows_and_the_last_what_came(full: Site) -> None:
    lines = exported(full.store)
    first, last = json.loads(lines[0]), json.loads(lines[-1])
    assert first == {
        "type": "referral-service",
        "format": 1,
        "program": "0.1.0",
        "revision": head(),
        "at": instant(AT),
    }
    assert last["sha256"] == hashlib.sha256(b"".join(lines[:-1])).hexdigest()
    assert sum(last["counts"].values()) == len(lines) - 2
    assert {json.loads(line)["type"] for line in lines[1:-1]} == {"row"}


def test_every_table_is_exported_but_those_that_say_nothing_of_a_site() -> None:
    assert {*in_order(), *LEFT_OUT} == {*tables.metadata.sorted_tables}
    assert [table.name for table in LEFT_OUT] == ["chore", "proof", "quota"]


def _without_end(lines: list[bytes]) -> list[bytes]:
    return lines[:-1]


def _cut_in_a_line(lines: list[bytes]) -> list[bytes]:
    return [*lines[:9], lines[9][:20]]


def _without_a_row(lines: list[bytes]) -> list[bytes]:
    return lines[:9] + lines[10:]


def _changed(lines: list[bytes]) -> list[bytes]:
    place = next(place for place, line in enumerate(lines) if b'"table":"ledger"' in line)
    return [*lines[:place], lines[place].replace(b'"red_flag":0', b'"red_flag":1'), *lines[place + 1 :]]


def _longer(lines: list[bytes]) -> list[bytes]:
    return [*lines, lines[1]]


def _doubled(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[1], *lines[2:]]


def _with(place: int, line: dict[str, Any] | list[Any]) -> Callable[[list[bytes]], list[bytes]]:
    return lambda lines: [*lines[:place], json.dumps(line).encode() + b"\n", *lines[place:]]


HEAD = {"type": "referral-service", "format": 1, "program": "0.1.0", "revision": head(), "at": instant(AT)}
CUT, OTHER = "the file was cut off", "what came is not what the last line tells of: the file was changed"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_without_end, f"the last line is missing: {CUT}"),
        (_cut_in_a_line, f"line 10 is no JSON: {CUT} or changed"),
        (_without_a_row, OTHER),
        (_changed, OTHER),
        (_doubled, "a row does not fit into its table"),
        (_longer, "there are lines after the last"),
        (_with(2, {"type": "row", "table": "alembic_version", "row": {}}), "line 3 is no row of a table that there is"),
        (_with(2, {"type": "row", "table": "client", "row": {"id": "x"}}), "other columns than the table"),
        (_with(2, []), "line 3 is no object"),
        (_with(0, {**HEAD, "format": 2}), "the first line is not that of an export in format 1"),
        (_with(0, {**HEAD, "revision": "0001"}), "it was exported at version 0001 of the database"),
        (lambda _: [], "the first line is not that of an export in format 1"),
    ],
)
def test_a_file_that_is_not_whole_leaves_nothing(
    full: Site, empty: Store, spoil: Callable[[list[bytes]], list[bytes]], words: str
) -> None:
    with pytest.raises(ImportRefused, match=words):
        import_all(empty, spoil(exported(full.store)))
    assert nothing(empty)


def test_what_ends_while_it_is_read_leaves_nothing(full: Site, empty: Store) -> None:
    def breaks_off() -> Iterator[bytes]:
        yield from exported(full.store)[:50]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_all(empty, breaks_off())
    assert nothing(empty)


def test_nobody_else_writes_while_it_is_read(full: Site, empty: Store) -> None:
    if not empty.is_shared:
        pytest.skip("SQLite has one writer anyway")
    other = open_store(empty.engine.url.render_as_string(hide_password=False))

    def write() -> None:
        with other.writing() as connection:
            connection.execute(text("SET LOCAL lock_timeout = '100ms'"))
            connection.execute(text("DELETE FROM ledger"))

    def beside() -> Iterator[bytes]:
        for place, line in enumerate(exported(full.store)):
            if place == 5:
                with pytest.raises(OperationalError, match="LockNotAvailable"):
                    write()
            yield line

    import_all(empty, beside())
    assert contents(empty) == contents(full.store)
    other.close()


def test_nothing_is_imported_over_what_is_there(full: Site) -> None:
    before = contents(full.store)
    with pytest.raises(ImportRefused, match="the database is not empty: there are rows in audit_anchor"):
        import_all(full.store, exported(full.store))
    assert contents(full.store) == before


def test_numbers_go_on_after_those_that_came(full: Site, empty: Store) -> None:
    import_all(empty, exported(full.store))
    number = tables.outbox.c.number
    with empty.writing() as connection:
        last = max(connection.execute(select(number)).scalars())
        noted = {"client": "c", "type": "Task", "resource_id": "t", "version": 1, "at": instant(AT)}
        connection.execute(insert(tables.outbox).values(**noted))
        assert max(connection.execute(select(number)).scalars()) == last + 1


def test_no_more_than_a_few_rows_are_in_memory_at_once(store: Store, empty: Store, tmp_path: Path) -> None:
    size, rows = 2 * 1024 * 1024, 60
    for number in range(rows):
        with store.writing() as connection:
            row = {"owner": f"b{number}", "version": 1, "client": "c", "size": size, "sha256": "", "kind": ""}
            connection.execute(insert(tables.binary_content).values(**row, content=bytes(size)))
    path = tmp_path / "site.ndjson"
    tracemalloc.start()
    with path.open("wb") as out:
        export(store, "0.1.0", AT, out.write)
    while_exported = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    with path.open("rb") as lines:
        import_all(empty, lines)
    while_imported = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size > rows * size
    assert max(while_exported, while_imported) < rows * size / 2, (while_exported, while_imported)


def test_it_is_written_as_of_one_moment_whatever_is_received_meanwhile(site: Site, empty: Store) -> None:
    seed(site, AT)
    before = contents(site.store)
    out = BytesIO()

    def write(line: bytes) -> None:
        if out.tell() == 0:
            seed(site_of(other, load_policy(), "http://localhost"), AT + timedelta(days=1))
        out.write(line)

    other = open_store(site.store.engine.url.render_as_string(hide_password=False))
    # The first line is written once the moment has come.
    export(site.store, "0.1.0", AT, write)
    other.close()
    import_all(empty, BytesIO(out.getvalue()))
    assert contents(empty) == before
    assert contents(site.store) != before
    with empty.reading() as connection:
        counted = ledger.sums(connection)
        assert counted["received"] == sum(number for name, number in counted.items() if name != "received")
        assert audit.last_seal(connection) is None
