"""The HTTP server: granian with the application behind a front of its own, one process of threads on SQLite."""

from __future__ import annotations

import os
import socket

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings

from referral_service import logs
from referral_service.front import Front
from referral_service.settings import Settings

THREADS_PER_CORE = 2
SECONDS_TO_FINISH = 25
MILLISECONDS_FOR_HEADERS = 10_000
BYTES_OF_HEADERS = 64 * 1024


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

    logs.configure()
    return Front(create_app(), THREADS_PER_CORE * (os.cpu_count() or 1) + 1)


def run(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT; requests in flight are finished first."""
    workers = 1 if settings.database_url.startswith("sqlite") else os.cpu_count() or 1
    Granian(
        "referral_service.server:create_front",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.RSGI,
        # Finding out which version of HTTP is spoken waits for the first byte, and for ever.
        http=HTTPModes.http1,
        factory=True,
        workers=workers,
        websockets=False,
        http1_settings=HTTP1Settings(header_read_timeout=MILLISECONDS_FOR_HEADERS, max_buffer_size=BYTES_OF_HEADERS),
        workers_kill_timeout=SECONDS_TO_FINISH,
        respawn_failed_workers=True,
        log_access=False,
    ).serve()
