"""A message is sent, and what the answer means: taken, to be tried again, or never to be taken."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from referral_service.delivery.ground import Ground, Letter
from referral_service.outbound import Limits, NotAllowed, Outbound, OutboundError

TRY_AGAIN = frozenset({408, 425, 429})
"""Answers 4xx that may be others later: https://www.rfc-editor.org/rfc/rfc9110, 8470 and 6585."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """``fault`` is one word, None when it was taken; ``is_final`` when trying again would change nothing.

    ``after`` is when the receiver asks to be tried again; ``is_silent`` tells that it gave no answer at all.
    """

    fault: str | None = None
    is_final: bool = False
    after: datetime | None = None
    is_silent: bool = False


def post(letter: Letter, ground: Ground) -> Verdict:
    try:
        own = ground.authorization(letter.client) if letter.client is not None else {}
        limits = Limits(read=letter.seconds, whole=letter.seconds, max_bytes=None)
        outbound = Outbound(letter.registered, limits, private=ground.settings.outbound)
        reply = outbound.send(letter.method, letter.address, letter.body, {**letter.headers, **own})
    except NotAllowed:
        return Verdict("not-allowed", is_final=True)
    except OutboundError as problem:
        return Verdict(problem.kind, is_silent=True)
    if 200 <= reply.status < 300:
        return Verdict()
    is_final = 400 <= reply.status < 500 and reply.status not in TRY_AGAIN
    asked = None if is_final else _asked(reply.headers.get("retry-after", ""), ground.clock())
    return Verdict(f"http-{reply.status}", is_final, asked)


def _asked(text: str, at: datetime) -> datetime | None:
    """https://www.rfc-editor.org/rfc/rfc9110#field.retry-after: seconds, or a date."""
    if text.isdecimal() and len(text) <= 6:
        return datetime.fromtimestamp(at.timestamp() + int(text), UTC)
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
