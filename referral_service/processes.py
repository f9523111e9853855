"""How many processes serve, where, and what they share: a folder for their counters.

Nothing is imported here that counts: the library decides when it is imported whether it counts alone.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from referral_service.settings import Settings

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the folder (https://prometheus.github.io/client_python/multiprocess/)."""
_MEMORY = Path("/dev/shm")  # noqa: S108


class PortError(OSError):
    """Another process listens there; the kernel would share the requests between the two unnoticed."""


def check_port(settings: Settings) -> None:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as problem:
            raise PortError(f"REFERRAL_PORT: {settings.host}:{settings.port} cannot be listened on") from problem


def number(settings: Settings) -> int:
    """One on an SQLite file, which belongs to it; on PostgreSQL one for each core."""
    return 1 if settings.database_url.startswith("sqlite") else os.cpu_count() or 1


def threads(settings: Settings) -> int:
    """How many requests one process works on at once: never more than it can have connections to its database."""
    return 5 if number(settings) > 1 else min(2 * (os.cpu_count() or 1) + 1, 12)


@contextmanager
def counting_together(settings: Settings) -> Iterator[None]:
    """Several processes get a folder, new each time and removed at the end; one needs none.

    It lies in memory where the machine has such a place, for a full disk would stop whoever counts.
    """
    if number(settings) == 1:
        yield
        return
    place = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    folder = tempfile.mkdtemp(prefix="referral-metrics-", dir=place)
    os.environ[FOLDER] = folder
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)
