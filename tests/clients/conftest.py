"""A running service that asks everybody who they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import SMART, Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(f"sqlite:///{tmp_path / 'referrals.db'}", tmp_path, dict(SMART))
    running.start()
    yield running
    running.stop()
