"""The log of a process: one plain line an event to stderr, with the time in UTC, and nothing of a patient in it."""

from __future__ import annotations

import logging
import time


def configure() -> None:
    """INFO and above of this service, WARNING and above of the libraries; once a process."""
    handler = logging.StreamHandler()
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("referral_service").setLevel(logging.INFO)


def where(problem: Exception) -> str:
    """The module and line where a fault arose; its message may hold anything and is not shown."""
    place = problem.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return f"{place.tb_frame.f_globals.get('__name__')}:{place.tb_lineno}" if place else "unknown"
