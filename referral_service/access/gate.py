"""How callers of one running service are told apart."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Gate:
    """``asks`` is whether anybody is asked who they are; ``secret_key`` is what cookies are signed with."""

    asks: bool
    secret_key: str = field(default="", repr=False)


OPEN = Gate(asks=False)
"""Nobody is asked: all callers are one and the same."""
