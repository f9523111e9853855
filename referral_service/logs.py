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
