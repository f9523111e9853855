"""Two that write at once: the one that was too late reads again, in turn."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import TypeVar

from referral_service.issues import Fault, FaultKind, error
from referral_service.store.writes import Overtaken

_TRIES = 8
_ONE_AT_A_TIME = Lock()
T = TypeVar("T")


def again_when_overtaken(take: Callable[[], T]) -> T:
    """Two that come at once with one key or for one resource: the second reads again and finds what the first wrote.

    Those that lost take turns, or of many that want the same all but one would lose again in every round.
    """
    with suppress(Overtaken):
        return take()
    for _ in range(_TRIES):
        with suppress(Overtaken), _ONE_AT_A_TIME:
            return take()
    words = "Others change the same resources at the same time; nothing was stored. Try again shortly."
    raise Fault(FaultKind.TRANSIENT, error("transient", "changed-meanwhile", words))
