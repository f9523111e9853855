"""The key sets of systems: inline as registered, or fetched from the address registered and kept for a while."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Lock

from referral_service.access.keys import SMART, Algorithms, KeySetError, PublicKey, read_key_set, the_one, usable_keys
from referral_service.outbound import NotAllowed, OutboundError, Reader
from referral_service.store.systems import Row

log = logging.getLogger("referral_service")

KEPT_SECONDS = 300
"""How long a set is kept whose server says nothing of it."""

KEPT_AT_MOST = 3600
BETWEEN_SECONDS = 60
"""From one fetch for a ``kid`` that is not in the set to the next."""

AFTER_FAILURE_SECONDS = 10
_MAX_AGE = re.compile(r"max-age=\"?(\d{1,9})\"?", re.ASCII)


@dataclass(slots=True)
class _Held:
    """What is known of one address; times are of the monotonic clock, in seconds."""

    lock: Lock = field(default_factory=Lock)
    keys: list[PublicKey] = field(default_factory=list)
    fresh_until: float = float("-inf")
    failed_at: float = float("-inf")
    searched_at: float = float("-inf")


class KeySets:
    """The key sets of one process. ``allowed`` are the origins that may lie at private addresses."""

    def __init__(
        self,
        allowed: frozenset[str] = frozenset(),
        algorithms: Algorithms = SMART,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = Reader(allowed)
        self._algorithms = algorithms
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._adding = Lock()

    def key_of(self, client: Row, kid: str, algorithm: str) -> PublicKey | None:
        """The one key of a registered client that fits, or None."""
        if client["jwks"] is not None:
            return the_one(_inline(client["jwks"]), kid, algorithm)
        if client["jwks_url"] is None:
            return None
        return self.key_at(client["jwks_url"], kid, algorithm)

    def key_at(self, address: str, kid: str, algorithm: str) -> PublicKey | None:
        """The one key at an address that fits. Asks anew when the set is not fresh, and once a minute for a new kid."""
        with self._adding:
            held = self._held.setdefault(address, _Held())
        with held.lock:
            was_fresh = self._clock() < held.fresh_until
            if not was_fresh and not self._fetch(address, held):
                return None
            found = the_one(held.keys, kid, algorithm)
            if found is None and was_fresh and self._clock() - held.searched_at >= BETWEEN_SECONDS:
                held.searched_at = self._clock()
                if self._fetch(address, held):
                    found = the_one(held.keys, kid, algorithm)
            return found

    def _fetch(self, address: str, held: _Held) -> bool:
        """Whether a set came that can be used now. One that did not come is not asked for again at once."""
        began = self._clock()
        if began - held.failed_at < AFTER_FAILURE_SECONDS:
            return False
        try:
            reply = self._reader.get(address, "application/json")
            if reply.status != 200:
                raise OutboundError("status")
            held.keys = usable_keys(reply.body, self._algorithms)
        except (NotAllowed, OutboundError, KeySetError) as problem:
            log.warning("key_set_unavailable kind=%s", getattr(problem, "kind", type(problem).__name__))
            held.failed_at = began
            return False
        held.fresh_until = began + _seconds_kept(reply.headers)
        return True


def _seconds_kept(headers: Mapping[str, str]) -> int:
    """https://www.rfc-editor.org/rfc/rfc9111#section-5.2.2"""
    said = [one.strip().lower() for one in headers.get("cache-control", "").split(",") if one.strip()]
    if "no-store" in said or any(one.partition("=")[0] == "no-cache" for one in said):
        return 0
    ages = [one for one in said if one.startswith("max-age")]
    matches = [_MAX_AGE.fullmatch(one) for one in ages]
    if not ages:
        return KEPT_SECONDS
    age = headers.get("age", "0").strip()
    passed = int(age) if age.isdecimal() and len(age) < 10 else 0
    return min([KEPT_AT_MOST, *(max(0, int(match[1]) - passed) if match else 0 for match in matches)])


@lru_cache(maxsize=256)
def _inline(text: str) -> tuple[PublicKey, ...]:
    return tuple(read_key_set(text))
