"""Faults put into a running service on purpose, so that the harness proves that it would find them.

Python imports this module by itself where its folder stands in PYTHONPATH (https://docs.python.org/3/library/site.html);
SEEDED_FAULT names the one fault. The service knows nothing of it: one of its functions is replaced before any other
module has taken it over.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from logging import getLogger
from threading import Thread, current_thread
from typing import Any

AWHILE = 1.0
"""Seconds in which a process can be killed between two things that belong together."""


def swap(module: str, name: str, make: Callable[[Any], Any]) -> None:
    """Puts something else in the place of what a module has by a name; there has to be something."""
    home = import_module(f"referral_service.{module}")
    setattr(home, name, make(getattr(home, name)))


def is_answering() -> bool:
    """Whether somebody's request is worked on, and not what the service does by itself, as at its start."""
    return current_thread().name.startswith("request")


def ack_before_commit() -> None:
    """The answer goes out while the transaction is still open."""

    def late(real: Any) -> Any:
        @contextmanager
        def writing(store: Any, **named: Any) -> Iterator[Any]:
            inner = real(store, **named)
            if not is_answering():
                with inner as connection:
                    yield connection
                return
            connection = inner.__enter__()
            try:
                yield connection
            except BaseException as problem:
                if not inner.__exit__(type(problem), problem, problem.__traceback__):
                    raise
                return

            def commit() -> None:
                time.sleep(AWHILE)
                inner.__exit__(None, None, None)

            Thread(target=commit).start()

        return writing

    def apart(real: Any) -> Any:
        """What is all of a transaction would be committed by its own statement, whatever comes after."""
        return lambda connection, rows, **_: real(connection, rows)

    swap("store.writes", "insert_all", apart)
    store = import_module("referral_service.store.engine").Store
    store.writing = late(store.writing)


def two_transactions() -> None:
    """What came along with a referral is committed before the referral."""

    def split(real: Any) -> Any:
        def insert_all(connection: Any, rows: Any, **_: Any) -> None:
            beside = {table: new for table, new in rows.items() if table.name in ("resource", "token", "address")}
            if any(table.name == "service_request" for table in rows):
                with connection.engine.begin() as other:
                    real(other, beside)
                time.sleep(AWHILE)
                rows = {table: new for table, new in rows.items() if table not in beside}
            real(connection, rows)

        return insert_all

    swap("store.writes", "insert_all", split)


def synchronous_off() -> None:
    """SQLite leaves it to the system when what was committed reaches the disk."""

    def careless(real: Any) -> Any:
        def begin(connection: Any) -> None:
            if is_answering():
                connection.exec_driver_sql("PRAGMA synchronous=OFF")
            real(connection)

        return begin

    swap("store.engine", "_begin_sqlite", careless)


def logged_patient() -> None:
    """The log says what was received."""

    def told(real: Any) -> Any:
        def parse(body: bytes) -> Any:
            getLogger("referral_service").info("received %s", body.decode("utf-8", "replace"))
            return real(body)

        return parse

    swap("fhir.parse", "parse", told)


def swallowed_delivery() -> None:
    """An event counts as delivered and was never sent."""

    def swallow(real: Any) -> Any:
        verdict = import_module("referral_service.delivery.posting").Verdict

        def post(letter: Any, ground: Any) -> Any:
            return verdict() if b"event-notification" in letter.body else real(letter, ground)

        return post

    swap("delivery.posting", "post", swallow)


def without_rows(*names: str) -> Callable[[Any], Any]:
    def forgetful(real: Any) -> Any:
        def insert_all(connection: Any, rows: Any, **named: Any) -> None:
            real(connection, {table: new for table, new in rows.items() if table.name not in names}, **named)

        return insert_all

    return forgetful


def task_not_written() -> None:
    """A referral is accepted and stands in nobody's queue."""
    swap("store.writes", "insert_all", without_rows("task", "status_change"))


def audit_left_out() -> None:
    """What was written leaves no event."""
    swap("store.writes", "insert_all", without_rows("audit_event", "audit_entity"))


def updated_in_place() -> None:
    """A new version replaces the old one, which is kept nowhere."""

    def in_place(real: Any) -> Any:
        def replace_version(connection: Any, table: Any, identity: str, version: int, *more: Any) -> bool:
            done = bool(real(connection, table, identity, version, *more))
            history = import_module("referral_service.store.tables").history
            connection.execute(history.delete().where(history.c.id == identity, history.c.version == version))
            return done

        return replace_version

    swap("store.writes", "replace_version", in_place)


def ledger_left_behind() -> None:
    """A human's decision moves the Task and not the row that counts it."""
    swap("store.writes", "move_ledger_state", lambda _: lambda *__: None)


def change_not_noted() -> None:
    """New versions of Tasks do not reach the outbox."""

    def deaf(real: Any) -> Any:
        return lambda connection, changes: real(connection, [one for one in changes if one["type"] != "Task"])

    swap("store.deliveries", "note", deaf)


def lease_without_end() -> None:
    """What a worker has taken in hand is never due again."""

    def kept(real: Any) -> Any:
        def claim(connection: Any, table: Any, *more: Any, **named: Any) -> Any:
            row = real(connection, table, *more, **named)
            if row is not None:
                same = [column == row[column.name] for column in table.primary_key]
                connection.execute(table.update().where(*same).values(due=None))
            return row

        return claim

    swap("store.leases", "claim", kept)


def if_match_not_compared() -> None:
    """A Task is moved whatever version its mover has seen."""
    for name in ("put_task", "patch_task"):
        swap("intake.moves", name, lambda real: lambda move, body: real(replace(move, expected_version=None), body))


def killed_in_migration() -> None:
    """The process dies before the statement of a number that SEEDED_STATEMENT gives."""
    from sqlalchemy import Engine, event

    left = [int(os.environ["SEEDED_STATEMENT"])]

    def count(*_: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "before_cursor_execute", count)


SEEDED = os.environ.get("SEEDED_FAULT")
if SEEDED is not None:
    globals()[SEEDED]()
