"""A message is sent, and what the answer means: taken, to be tried again, or never to be taken."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from referral_service.addresses import origin
from referral_service.delivery.ground import Ground, Letter, later
from referral_service.ehr.faults import NotFetched
from referral_service.fhir.messages import response_code
from referral_service.fhir.parse import parse
from referral_service.logs import where
from referral_service.outbound import Limits, NotAllowed, Outbound, OutboundError, Reply, rest_of
from referral_service.store.engine import UNAVAILABLE

log = logging.getLogger("referral_service")

TRY_AGAIN = frozenset({408, 425, 429})
"""Answers 4xx that may be others later: https://www.rfc-editor.org/rfc/rfc9110, 8470 and 6585."""

ANSWER_BYTES = 4 * 1024 * 1024
"""How large the answer to a message may be, which can bring back what was sent."""

NOT_TAKEN = frozenset({"transient-error", "fatal-error"})
"""https://hl7.org/fhir/R4/valueset-response-code.html"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """``fault`` is one word, None when it was taken; ``is_final`` when trying again would change nothing.

    ``after`` is when the receiver asks to be tried again; ``is_silent`` tells that it gave no answer at all, or does
    not let anybody in.
    """

    fault: str | None = None
    is_final: bool = False
    after: datetime | None = None
    is_silent: bool = False


def post(letter: Letter, ground: Ground) -> Verdict:
    """Sends it, logged in where that is asked for; with a token that no longer counts once more, with another."""
    until = time.monotonic() + letter.seconds

    def left() -> float:
        return until - time.monotonic()

    try:
        token = _token(letter, ground, left)
        reply = _sent(letter, ground, token, left)
        if reply.status == 401 and token is not None and letter.login is not None:
            ground.tokens.drop(letter.login.ehr, letter.login.wanted, token)
            reply = _sent(letter, ground, _token(letter, ground, left), left)
    except NotFetched as problem:
        after = later(ground.clock(), problem.rest) if problem.rest is not None else None
        return Verdict(f"login-{problem.kind.removeprefix('login-')}", after=after, is_silent=True)
    except NotAllowed:
        return Verdict("not-allowed", is_final=True)
    except OutboundError as problem:
        return Verdict(problem.kind, is_silent=True)
    return _verdict(letter, reply, ground)


def tried(send: Callable[[], Verdict | None]) -> Verdict | None:
    """Whatever comes up in one delivery that nobody foresaw is a failure of that one, and counts as such."""
    try:
        return send()
    except UNAVAILABLE:
        raise
    except Exception as problem:
        log.error("delivery_failed kind=%s at=%s", type(problem).__name__, where(problem))
        return Verdict("unforeseen")


def _token(letter: Letter, ground: Ground, left: Callable[[], float]) -> str | None:
    """Raises :class:`NotFetched`, whatever it is that went wrong at the log-in."""
    login = letter.login
    if login is None or login.ehr.token_url is None:
        return None
    try:
        where = frozenset({origin(login.ehr.token_url)})
        return ground.tokens.of(login.ehr, login.wanted, Outbound(where, private=ground.settings.outbound), left)
    except OutboundError as problem:
        raise NotFetched(problem.kind) from problem
    except NotAllowed as problem:
        raise NotFetched("not-allowed") from problem


def _sent(letter: Letter, ground: Ground, token: str | None, left: Callable[[], float]) -> Reply:
    most = ANSWER_BYTES if letter.is_message else None
    limits = Limits(read=letter.seconds, whole=letter.seconds, max_bytes=most)
    outbound = Outbound(letter.registered, limits, private=ground.settings.outbound)
    own = {"Authorization": f"Bearer {token}"} if token is not None else {}
    return outbound.send(letter.method, letter.address, letter.body, {**letter.headers, **own}, left())


def _verdict(letter: Letter, reply: Reply, ground: Ground) -> Verdict:
    if 200 <= reply.status < 300:
        said = response_code(parse(reply.body).value) if letter.is_message else None
        return Verdict(said, is_final=said == "fatal-error") if said in NOT_TAKEN else Verdict()
    if reply.status in letter.taken_too:
        return Verdict()
    is_final = 400 <= reply.status < 500 and reply.status not in TRY_AGAIN
    if reply.status == 401 and letter.login is not None and letter.login.ehr.token_url is not None:
        is_final = False  # a token was given: that it is not taken yet, or any more, is the log-in's failure
    rest = None if is_final else rest_of(reply)
    after = later(ground.clock(), rest) if rest is not None else None
    return Verdict(f"http-{reply.status}", is_final, after)
