"""Names of cards and suggestions that tell their kind, so that feedback says what it is about with nothing kept before.

A UUID of version 8 (https://www.rfc-editor.org/rfc/rfc9562#section-5.8): random, but for the last of its octets.
"""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID, uuid4


class Mark(StrEnum):
    """Kinds of cards, and of suggestions on them. New ones are added at the end: their place is what is sent."""

    RED_FLAG = "red-flag"
    ROUTED = "routed"
    REVIEW = "review"
    REJECTED = "rejected"
    REFUSED = "refused"
    OPEN_REFERRAL = "open-referral"
    RECEIVED_BEFORE = "received-before"
    ADD_CODE = "add-code"
    RAISE_PRIORITY = "raise-priority"
    ADD_CODE_AND_RAISE_PRIORITY = "add-code-and-raise-priority"


SUGGESTIONS = frozenset({Mark.ADD_CODE, Mark.RAISE_PRIORITY, Mark.ADD_CODE_AND_RAISE_PRIORITY})
_VERSION = 8


def marked(mark: Mark) -> str:
    octets = bytearray(uuid4().bytes)
    octets[6] = (octets[6] & 0x0F) | _VERSION << 4
    octets[15] = list(Mark).index(mark)
    return str(UUID(bytes=bytes(octets)))


def mark_of(name: object) -> Mark | None:
    """None for a name that was not given out here."""
    try:
        octets = UUID(name if isinstance(name, str) else "").bytes
    except ValueError:
        return None
    is_ours = octets[6] >> 4 == _VERSION and octets[8] >> 6 == 0b10 and octets[15] < len(Mark)
    return list(Mark)[octets[15]] if is_ours else None
