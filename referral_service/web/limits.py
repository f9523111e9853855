"""How many calls a second are taken: of whoever is known, agreed on by all processes; of an address, by this one."""

from __future__ import annotations

import time
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network
from threading import Lock

from referral_service.policy import Limits
from referral_service.store.engine import Store
from referral_service.store.quota import reserve

_BLOCKS = 10
"""Into how many blocks the processes divide a second's calls among them."""


class Limiter:
    """Counts the calls of one process. ``clock`` gives seconds since 1970.

    Where several processes serve, each reserves a tenth of a second's calls at a time in the database; what one of them
    has reserved and not used is lost with the second.
    """

    def __init__(self, store: Store, limits: Limits, clock: Callable[[], float] = time.time) -> None:
        self._store, self._limits, self._clock = store, limits, clock
        self._lock = Lock()
        self._second = 0
        self._left: dict[str, int] = {}

    def takes_known(self, caller: str) -> bool:
        second = int(self._clock())
        if not self._store.is_shared:
            return self._takes(second, caller, self._limits.known)
        if self._takes(second, caller, 0):
            return True
        with self._lock:
            if self._left.get(caller) == _NONE:
                return False
        block = max(1, self._limits.known // _BLOCKS)
        with self._store.writing() as connection:
            granted = reserve(connection, caller, second, block, self._limits.known)
        with self._lock:
            if self._second == second:
                self._left[caller] = max(self._left[caller], 0) + granted - 1 if granted else _NONE
        return granted > 0

    def takes_unknown(self, address: str) -> bool:
        return self._takes(int(self._clock()), _network(address), self._limits.unknown)

    def _takes(self, second: int, name: str, at_first: int) -> bool:
        """Takes one call of those that are left; what is kept lasts no longer than its second."""
        with self._lock:
            if second != self._second:
                self._second, self._left = second, {}
            left = self._left.setdefault(name, at_first)
            if left > 0:
                self._left[name] = left - 1
            return left > 0


_NONE = -1
"""Nothing is left in this second for any process."""


def _network(address: str) -> str:
    """One address, or the network that one site has many addresses of (IPv6, RFC 6177)."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((parsed, 64), strict=False)) if isinstance(parsed, IPv6Address) else address
