"""Records read from EHRs: at the door within a second, later with patience.

Only what lies below the registered base is asked for; an answer counts when it is that very record as FHIR JSON.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import TypeVar

from referral_service import metrics
from referral_service.addresses import origin
from referral_service.ehr.answers import FILE_BYTES, File, accepting, file_in, resource_in
from referral_service.ehr.faults import NotFetched
from referral_service.ehr.known import Ehr, Wanted
from referral_service.ehr.tokens import Sign, Tokens, scopes
from referral_service.ehr.turnstile import Turnstile
from referral_service.fhir.records import EVIDENCE
from referral_service.logs import where
from referral_service.outbound import Limits, NotAllowed, Outbound, OutboundError, Reply, rest_of

log = logging.getLogger("referral_service")
Clock = Callable[[], float]

DOOR_SECONDS = 1.0
"""For everything that is read while a sender waits for the answer, the token among it."""

AT_ONCE = 2
"""How many senders' requests may wait for one EHR at a time: fewer than threads that serve."""

LATER = Limits(connect=3.0, read=10.0, whole=30.0, max_bytes=1024 * 1024)
FILES = Limits(connect=3.0, read=10.0, whole=120.0, max_bytes=FILE_BYTES * 4 // 3 + 64 * 1024)
"""A file may come in base64, with FHIR around it."""
TYPES = EVIDENCE - {"Composition"} | {"Patient"}
"""The records that are read. When this service logs in it asks for these, and for Binary."""

_SCOPES = scopes(dict.fromkeys(TYPES | {"Binary"}, "r"))

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Visit:
    """What a call at an EHR brought: texts as they were sent, and why the others did not come, in one word each.

    ``not_made`` is why there was no call at all.
    """

    texts: Mapping[Wanted, bytes] = field(default_factory=dict)
    faults: Mapping[Wanted, str] = field(default_factory=dict)
    not_made: str | None = None

    def fault_of(self, wanted: Wanted) -> str | None:
        return self.faults.get(wanted, self.not_made)


class Ehrs:
    """The EHRs as one process knows them. ``private`` are the origins that may lie at private addresses or be http.

    The door, the worker and files each have turnstiles of their own: an EHR that is too slow for the one may be quick
    enough for the other.
    """

    def __init__(self, private: frozenset[str], sign: Sign | None, clock: Clock = time.monotonic) -> None:
        self._private = private
        self._tokens = Tokens(sign, clock)
        self._clock = clock
        self._lock = Lock()
        self._turnstiles: dict[tuple[str, str], Turnstile] = {}

    def resting(self) -> int:
        """How many turnstiles are shut because an EHR failed."""
        with self._lock:
            return sum(one.is_resting() for one in self._turnstiles.values())

    def why_not_now(self, ehr: Ehr) -> str | None:
        """Why a sender's request would not be let through to its EHR now; None when it would."""
        turnstile = self._turnstile("door", ehr)
        if turnstile.is_open():
            return None
        return "resting" if turnstile.seconds_to_rest() else "crowded"

    def at_door(self, ehr: Ehr, wanted: Sequence[Wanted]) -> Visit:
        """All of it in :data:`DOOR_SECONDS`; what does not come in that time, or cannot be asked for, is a fault."""
        turnstile = self._turnstile("door", ehr)
        if not turnstile.enter():
            return Visit(not_made=self.why_not_now(ehr) or "crowded")
        texts: dict[Wanted, bytes] = {}
        faults: dict[Wanted, str] = {}
        failure: NotFetched | None = None
        try:
            left = self._countdown(DOOR_SECONDS)
            for one in wanted:
                try:
                    if failure is None:
                        texts[one] = _understood(partial(self._read, ehr, one, left))
                except NotFetched as problem:
                    failure = problem if problem.is_failure else None
                    faults[one] = problem.kind
                if failure is not None:
                    faults.setdefault(one, failure.kind)
        finally:
            turnstile.leave(has_failed=failure is not None, rest=failure.rest if failure else None)
        for kind in {*faults.values(), *(["fetched"] if texts else [])}:
            metrics.ehr_request("door", "fetched" if kind == "fetched" else "failed")
            log.info("ehr_asked host=%s at=door outcome=%s", ehr.host, kind)
        return Visit(texts, faults)

    def later(self, ehr: Ehr, wanted: Wanted) -> bytes:
        """One record, within :data:`LATER`. Raises :class:`NotFetched`."""
        return self._patiently("later", ehr, lambda: self._read(ehr, wanted, self._countdown(LATER.whole)))

    def file(self, ehr: Ehr, wanted: Wanted, media_type: str) -> File:
        """One file, within :data:`FILES`, as the ``media_type`` if it can be had. Raises :class:`NotFetched`."""
        return self._patiently("files", ehr, lambda: self._read_file(ehr, wanted, media_type))

    def _patiently(self, whose: str, ehr: Ehr, read: Callable[[], T]) -> T:
        turnstile = self._turnstile(whose, ehr)
        if not turnstile.enter():
            raise NotFetched("resting", turnstile.seconds_to_rest())
        failure: NotFetched | None = None
        try:
            return _understood(read)
        except NotFetched as problem:
            failure = problem if problem.is_failure else None
            raise
        finally:
            turnstile.leave(has_failed=failure is not None, rest=failure.rest if failure else None)

    def _turnstile(self, whose: str, ehr: Ehr) -> Turnstile:
        with self._lock:
            return self._turnstiles.setdefault((whose, ehr.base), Turnstile(AT_ONCE, self._clock))

    def _countdown(self, seconds: float) -> Callable[[], float]:
        until = time.monotonic() + seconds
        return lambda: until - time.monotonic()

    def _read(self, ehr: Ehr, wanted: Wanted, left: Callable[[], float]) -> bytes:
        return _text(self._asked(ehr, wanted, "application/fhir+json", LATER, left), wanted)

    def _read_file(self, ehr: Ehr, wanted: Wanted, media_type: str) -> File:
        try:
            reply = self._asked(ehr, wanted, accepting(media_type), FILES, self._countdown(FILES.whole))
        except NotFetched as problem:
            raise NotFetched("file-too-large") if problem.kind == "too-large" else problem from problem
        _check_status(reply)
        return file_in(reply, wanted)

    def _asked(self, ehr: Ehr, wanted: Wanted, accept: str, limits: Limits, left: Callable[[], float]) -> Reply:
        outbound = Outbound(_origins(ehr.base, ehr.token_url), limits, private=self._private)
        try:
            token = self._tokens.of(ehr, _SCOPES, outbound, left)
            reply = _get(outbound, ehr.address(wanted), accept, token, left)
            if reply.status == 401 and token is not None:
                self._tokens.drop(ehr, _SCOPES, token)
                token = self._tokens.of(ehr, _SCOPES, outbound, left)
                reply = _get(outbound, ehr.address(wanted), accept, token, left)
        except OutboundError as problem:
            raise NotFetched(problem.kind) from problem
        except NotAllowed as problem:
            raise NotFetched("not-allowed") from problem
        return reply


def _understood(read: Callable[[], T]) -> T:
    """Whatever an answer brings up that nobody foresaw is a fault of that answer alone."""
    try:
        return read()
    except NotFetched:
        raise
    except Exception as problem:
        log.error("ehr_not_understood kind=%s at=%s", type(problem).__name__, where(problem))
        raise NotFetched("not-understood") from problem


def _origins(*addresses: str | None) -> frozenset[str]:
    return frozenset(origin(one) for one in addresses if one is not None)


def _get(outbound: Outbound, address: str, accept: str, token: str | None, left: Callable[[], float]) -> Reply:
    headers = {"Accept": accept}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return outbound.get(address, headers, left())


def _text(reply: Reply, wanted: Wanted) -> bytes:
    _check_status(reply)
    resource_in(reply, wanted)
    return reply.body


def _check_status(reply: Reply) -> None:
    if reply.status != 200:
        raise NotFetched(_kind_of(reply.status), rest_of(reply) if reply.status in (429, 503) else None)


def _kind_of(status: int) -> str:
    known = {401: "not-let-in", 403: "not-let-in", 404: "not-found", 410: "gone", 429: "throttled"}
    if status in known:
        return known[status]
    if 300 <= status < 400:
        return "redirect"
    return "server-error" if status >= 500 else "refused"
