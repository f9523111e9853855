"""The HTTP server: granian with the application behind a front of its own, one process of threads on SQLite."""

from __future__ import annotations

import gc

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings

from referral_service import logs, processes
from referral_service.front import Front
from referral_service.previews import read_ahead
from referral_service.settings import Settings, from_environment

SECONDS_TO_FINISH = 25
MILLISECONDS_FOR_HEADERS = 10_000
BYTES_OF_HEADERS = 64 * 1024
OBJECTS_BEFORE_GARBAGE = 20_000
"""A referral makes thousands of objects and no circles; looking for these after every 700 is work for nothing."""


_LOG_OF_SERVER = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {name: {"handlers": [], "propagate": True} for name in ("_granian", "granian.access")},
}
"""What the server tells goes where all else goes."""


def create_front() -> Front:
    """What each process of the server serves."""
    from referral_service.app import create_app

    settings = from_environment()
    logs.configure(settings.log_format, settings.log_level)
    threads = processes.threads(settings)
    return Front(create_app(settings, threads), threads)


def run(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT; requests in flight are finished first."""
    read_ahead()
    # What is there by now stays: no process looks at it again for garbage, and so none gets a copy of its own.
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS_BEFORE_GARBAGE)
    Granian(
        "referral_service.server:create_front",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.RSGI,
        # Finding out which version of HTTP is spoken waits for the first byte, and for ever.
        http=HTTPModes.http1,
        factory=True,
        workers=processes.number(settings),
        websockets=False,
        http1_settings=HTTP1Settings(header_read_timeout=MILLISECONDS_FOR_HEADERS, max_buffer_size=BYTES_OF_HEADERS),
        workers_kill_timeout=SECONDS_TO_FINISH,
        respawn_failed_workers=True,
        log_access=False,
        log_dictconfig=_LOG_OF_SERVER,
    ).serve()
