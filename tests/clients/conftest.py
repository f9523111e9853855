"""A running service that asks everybody who they are, and an EHR that can be called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.clients.story import Place
from tests.receivers import Receiver
from tests.serving import SMART, Server
from tests.test_workers import Workers


@pytest.fixture
def hook() -> Iterator[Receiver]:
    receiver = Receiver()
    with receiver.open():
        yield receiver


@pytest.fixture
def engine() -> str:
    """A test names both where it is to run on both."""
    return "sqlite"


@pytest.fixture
def server(engine: str, request: pytest.FixtureRequest, tmp_path: Path, hook: Receiver) -> Iterator[Server]:
    """On SQLite it delivers by itself; on PostgreSQL a worker does."""
    is_shared = engine == "postgresql"
    url = request.getfixturevalue("postgres_url") if is_shared else f"sqlite:///{tmp_path / 'referrals.db'}"
    running = Server(url, tmp_path, {**SMART, "REFERRAL_OUTBOUND": hook.origin})
    workers = Workers({**running.settings, "REFERRAL_DATABASE_URL": url, "REFERRAL_PUBLIC_URL": running.base}, tmp_path)
    with ExitStack() as stack:
        stack.callback(running.stop)
        stack.callback(workers.end)
        running.start()
        if is_shared:
            workers.start()
        yield running


@pytest.fixture
def place(server: Server, hook: Receiver, tmp_path: Path) -> Place:
    return Place(server, hook, tmp_path)
