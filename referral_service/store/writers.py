"""Those who write to one SQLite file, one after the other; quick ones who come together share one wait for the disk.

Were each to commit for itself, no more would be written in a second than the disk can be waited for. A quick writer who
finds others behind it leaves the transaction open for them, its own part in a savepoint, and the last of them commits
for all. Nobody is answered before that, and who fails takes back its own part alone. Whoever may take long, as a
worker, writes alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock
from time import monotonic
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import Transaction
from sqlalchemy.exc import OperationalError

MOST, LONGEST_SECONDS = 8, 0.03
"""How many share a commit, and how long the first of them waits for the last at most."""


@dataclass(slots=True)
class _Group:
    """An open transaction. ``problem`` is why it could not be committed, the same for all in it."""

    transaction: Transaction
    begun: float = field(default_factory=monotonic)
    members: int = 0
    is_over: Event = field(default_factory=Event)
    problem: Exception | None = None


class Writers:
    """Of one process, which is the only one on its file; ``engine`` is that of an SQLite database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._turn, self._counting = Lock(), Lock()
        self._quick = 0
        self._connection: Connection | None = None
        self._group: _Group | None = None

    @contextmanager
    def writing(self, *, is_quick: bool) -> Iterator[Connection]:
        """One writer's part, durable when the block has ended. Raises what the block raises, or why it is not durable.

        ``is_quick`` says that it takes milliseconds, so that others can wait for its end.
        """
        with self._in_turn(is_quick):
            connection, group = self._join(is_quick)
            try:
                with self._part(connection, group):
                    yield connection
            finally:
                if group is self._group and (not is_quick or self._is_full(group)):
                    self._end(group)
        group.is_over.wait()
        if group.problem is not None:
            raise group.problem

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Nobody writes until the block has ended."""
        with self._in_turn(is_quick=False):
            if self._group is not None:
                self._end(self._group)
            yield

    def close(self) -> None:
        with self._turn:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextmanager
    def _in_turn(self, is_quick: bool) -> Iterator[None]:
        self._count(is_quick)
        self._turn.acquire()
        self._count(-is_quick)
        try:
            yield
        finally:
            self._turn.release()

    def _count(self, more: int) -> None:
        with self._counting:
            self._quick += more

    def _join(self, is_quick: bool) -> tuple[Connection, _Group]:
        if self._group is not None and (not is_quick or not self._is_open()):
            self._end(self._group)
        if self._connection is None:
            self._connection = self._engine.connect().execution_options(writes=True)
        if self._group is None:
            try:
                self._group = _Group(self._connection.begin())
            except Exception:
                self._give_up()  # and with the connection what may have begun on it
                raise
        self._group.members += 1
        return self._connection, self._group

    @contextmanager
    def _part(self, connection: Connection, group: _Group) -> Iterator[None]:
        self._say(connection, group, "SAVEPOINT part")
        try:
            yield
        except BaseException:
            if self._is_open():
                self._say(connection, group, "ROLLBACK TO part")
                self._say(connection, group, "RELEASE part")
            raise
        self._say(connection, group, "RELEASE part")

    def _say(self, connection: Connection, group: _Group, statement: str) -> None:
        """When a part can be neither kept nor taken back, nothing of the group is kept, and all in it are told."""
        try:
            connection.exec_driver_sql(statement)
        except Exception as problem:
            self._fail(group, problem)
            raise

    def _is_open(self) -> bool:
        """After some faults, as of a full disk, SQLite itself has rolled back all that was not committed.

        https://www.sqlite.org/lang_transaction.html#response_to_errors_within_a_transaction
        """
        driver: Any = self._connection.connection.driver_connection if self._connection is not None else None
        return driver is not None and bool(driver.in_transaction)

    def _is_full(self, group: _Group) -> bool:
        """Or whether nobody is behind who could commit instead: whoever is counted will have its turn."""
        with self._counting:
            is_last = self._quick == 0
        return is_last or group.members >= MOST or monotonic() - group.begun > LONGEST_SECONDS

    def _end(self, group: _Group) -> None:
        self._group = None
        try:
            if not self._is_open():  # or else the driver would take a commit of nothing for a commit
                raise OperationalError("COMMIT", None, RuntimeError("the transaction is gone"))
            group.transaction.commit()
        except Exception as problem:
            self._fail(group, problem)
        group.is_over.set()

    def _fail(self, group: _Group, problem: Exception) -> None:
        self._group = None
        group.problem = problem
        self._give_up()
        group.is_over.set()

    def _give_up(self) -> None:
        """The next writer gets a connection of which nothing is left."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None
