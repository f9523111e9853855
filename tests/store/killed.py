"""Upgrades of real processes, each killed before another of its statements: python -m tests.store.killed URL STEP…

Prints for each step how the process ended and the version that it left. A step past the last statement is the commit.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

from sqlalchemy import event

from referral_service.store.engine import Store, open_store
from referral_service.store.migrations import revision, upgrade


def upgraded(url: str, fatal: int) -> int:
    """How many statements there were; the process does not live to see the one numbered ``fatal``, or the commit
    after the last."""
    store, seen = open_store(url), 0

    def statement(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(store.engine, "before_cursor_execute", statement)
    event.listen(store.engine, "commit", statement)
    upgrade(store)
    store.close()
    return seen


def in_a_process_of_its_own(url: str, fatal: int) -> int:
    child = os.fork()
    if child == 0:
        _end(url, fatal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _end(url: str, fatal: int) -> NoReturn:
    upgraded(url, fatal)
    os._exit(0)


def version(store: Store) -> str:
    with store.reading() as connection:
        return revision(connection) or "none"


if __name__ == "__main__":
    for step in map(int, sys.argv[2:]):
        ended = in_a_process_of_its_own(sys.argv[1], step)
        left = open_store(sys.argv[1])
        print(step, ended, version(left), flush=True)
        left.close()
