"""How callers of one running service are told apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from referral_service.access.callers import Caller


@dataclass(frozen=True, slots=True)
class Gate:
    """``asks`` is whether anybody is asked who they are; ``secret_key`` is what cookies are signed with.

    ``told`` says who calls without looking at the request, for tests; None asks the request.
    """

    asks: bool
    secret_key: str = field(default="", repr=False)
    told: Callable[[], Caller | None] | None = None


OPEN = Gate(asks=False)
"""Nobody is asked: all callers are one and the same."""
