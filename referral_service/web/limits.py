"""How many calls are taken: of whoever is known, agreed on by all processes; of an address, by this one."""

from __future__ import annotations

import time
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network
from threading import Lock

from referral_service.policy import Limits
from referral_service.store.engine import Store
from referral_service.store.quota import reserve

_BLOCKS = 40
"""Into how many blocks the processes divide a second's calls among them; more processes could go without."""


class Limiter:
    """Counts the calls of one process. ``clock`` gives seconds since 1970.

    Where several processes serve, each reserves a block of a second's calls at a time in the database; what one of them
    has reserved and not used is lost with the second. Attempts to sign in are counted by the minute.
    """

    def __init__(self, store: Store, limits: Limits, clock: Callable[[], float] = time.time) -> None:
        self._store, self._limits, self._clock = store, limits, clock
        self._seconds, self._minutes = _Counts(), _Counts()
        self._reserving = Lock()

    def takes_known(self, caller: str) -> bool:
        second = int(self._clock())
        if not self._store.is_shared:
            return self._seconds.takes(second, caller, self._limits.known)
        if self._seconds.takes(second, caller, 0):
            return True
        with self._reserving:  # or each thread would reserve a block for its one call
            second = int(self._clock())
            if self._seconds.takes(second, caller, 0):
                return True
            if self._seconds.is_used_up(caller):
                return False
            block = max(1, self._limits.known // _BLOCKS)
            with self._store.writing() as connection:
                granted = reserve(connection, caller, second, block, self._limits.known)
            self._seconds.add(second, caller, granted)
            return granted > 0

    def takes_unknown(self, address: str) -> bool:
        return self._seconds.takes(int(self._clock()), _network(address), self._limits.unknown)

    def takes_attempt(self, address: str) -> bool:
        """Of signing in with a password, right or wrong."""
        return self._minutes.takes(int(self._clock()) // 60, _network(address), self._limits.attempts)


class _Counts:
    """What is left of a second or a minute, by name; kept no longer than that lasts."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._period = 0
        self._left: dict[str, int] = {}

    def takes(self, period: int, name: str, at_first: int) -> bool:
        """Takes one call of those that are left."""
        with self._lock:
            if period != self._period:
                self._period, self._left = period, {}
            left = self._left.setdefault(name, at_first)
            if left > 0:
                self._left[name] = left - 1
            return left > 0

    def is_used_up(self, name: str) -> bool:
        with self._lock:
            return self._left.get(name) == _NONE

    def add(self, period: int, name: str, granted: int) -> None:
        """Calls that were reserved, the first of them for now; none when all of them are used up."""
        with self._lock:
            if self._period == period:
                self._left[name] = max(self._left[name], 0) + granted - 1 if granted else _NONE


_NONE = -1
"""Nothing is left in this second for any process."""


def _network(address: str) -> str:
    """One address, or the network that one site has many addresses of (IPv6, RFC 6177)."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((parsed, 64), strict=False)) if isinstance(parsed, IPv6Address) else address
