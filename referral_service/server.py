"""The HTTP server: granian with the application behind a front of its own, one process of threads on SQLite."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings

from referral_service import logs
from referral_service.front import Front
from referral_service.settings import Settings, from_environment

THREADS_PER_CORE = 2
SECONDS_TO_FINISH = 25
MILLISECONDS_FOR_HEADERS = 10_000
BYTES_OF_HEADERS = 64 * 1024


FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the folder to the library that counts, before it is imported."""
_LOG_OF_SERVER = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {name: {"handlers": [], "propagate": True} for name in ("_granian", "granian.access")},
}
"""What the server tells goes where all else goes."""


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


def create_front() -> Front:
    """What each process of the server serves."""
    from referral_service.app import create_app

    settings = from_environment()
    logs.configure(settings.log_format, settings.log_level)
    threads = THREADS_PER_CORE * (os.cpu_count() or 1) + 1
    return Front(create_app(settings, threads), threads)


def processes(settings: Settings) -> int:
    """How many processes serve: one on an SQLite file, which belongs to it."""
    return 1 if settings.database_url.startswith("sqlite") else max(1, (os.cpu_count() or 2) - 1)


@contextmanager
def counting_together(settings: Settings) -> Iterator[None]:
    """Where several processes serve they share a folder for their counters, new each time and removed at the end.

    It has to be there before the counters are. It lies in memory where the machine has such a place, for a full disk
    would stop whoever counts.
    """
    if processes(settings) == 1:
        yield
        return
    memory = Path("/dev/shm")  # noqa: S108
    place = memory if os.access(memory, os.W_OK) else None
    folder = tempfile.mkdtemp(prefix="referral-metrics-", dir=place)
    os.environ[FOLDER] = folder
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT; requests in flight are finished first."""
    Granian(
        "referral_service.server:create_front",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.RSGI,
        # Finding out which version of HTTP is spoken waits for the first byte, and for ever.
        http=HTTPModes.http1,
        factory=True,
        workers=processes(settings),
        websockets=False,
        http1_settings=HTTP1Settings(header_read_timeout=MILLISECONDS_FOR_HEADERS, max_buffer_size=BYTES_OF_HEADERS),
        workers_kill_timeout=SECONDS_TO_FINISH,
        respawn_failed_workers=True,
        log_access=False,
        log_dictconfig=_LOG_OF_SERVER,
    ).serve()
