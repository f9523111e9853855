"""Waiting for what is to come true."""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS = 60


def until(holds: Callable[[], bool], seconds: float = SECONDS) -> bool:
    """Whether it comes true before long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.1)
    return holds()
