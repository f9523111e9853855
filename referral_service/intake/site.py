"""What every door needs: the site's store, policy and vocabulary; and one request as it came in."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from os import register_at_fork, urandom
from time import time_ns
from urllib.parse import urlsplit

from referral_service.coding.concepts import Vocabulary
from referral_service.ehr.reading import Ehrs
from referral_service.fhir.audit import Access
from referral_service.fhir.bundle import Resource
from referral_service.fhir.messages import Asked
from referral_service.issues import FaultKind, Issue
from referral_service.policy import Policy
from referral_service.referral import Queue
from referral_service.store.engine import Store, instant
from referral_service.worklist import Actor


@dataclass(frozen=True, slots=True)
class Site:
    """One running service. ``code_versions`` gives the release of each ICD-10 system that codes are stated in.

    ``ehrs`` are those that are asked at the door; None where nobody is, as for a preview.
    """

    store: Store
    policy: Policy
    vocabulary: Vocabulary
    code_versions: Mapping[str, str]
    public_url: str
    package_version: str
    sandbox: bool = False
    """Whether it plays what referrals ask of a sandbox."""
    ehrs: Ehrs | None = None

    @property
    def host(self) -> str:
        return urlsplit(self.public_url).hostname or self.public_url


@dataclass(frozen=True, slots=True)
class Taking:
    """A row of what was not taken that somebody takes in: which one, when it was first received, and why."""

    received_id: str
    position: int
    first_received: datetime
    reason: str


MESSAGE_DOOR = "message"
"""The door at which a message's own id is a key of the request."""


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a Binary that lie apart from it; ``kind`` is the media type that they show, empty when unknown."""

    data: bytes
    kind: str


def _everything(_: str, __: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Incoming:
    """One request of one client, as received at ``at`` (UTC).

    ``put_to`` is the relative address that a bare resource was PUT to, ``is_update`` that it is here already;
    ``if_match`` the ETag of the version that it is to replace; ``by`` who entered it by hand, ``taking`` what was
    not taken before and is taken in with it. ``allows`` tells whether the sender may create (``c``) or update (``u``)
    a type; ``queues`` are those whose referrals it sees beside its own; ``placer_system`` is the system of its placer
    identifiers that carry no type, ``bars`` whether it speaks BaRS, and so is told of a repetition as a conflict;
    ``access`` what the audit trail has to know of the caller, None when the service does it by itself; ``content`` what
    a sole Binary holds.
    """

    client: str
    door: str
    request_id: str
    body: bytes
    at: datetime
    idempotency_key: str | None = None
    if_none_exist: str | None = None
    if_match: str | None = None
    put_to: str | None = None
    is_update: bool = False
    by: Actor | None = None
    taking: Taking | None = None
    allows: Callable[[str, str], bool] = _everything
    queues: frozenset[Queue] = frozenset()
    placer_system: str | None = None
    bars: bool = False
    access: Access | None = None
    content: Content | None = None

    @property
    def instant(self) -> str:
        return instant(self.at)

    @property
    def first_received(self) -> datetime:
        """When the clock of its new referrals began: what is taken in has waited since it first came."""
        return self.taking.first_received if self.taking else self.at


class Became(StrEnum):
    """What became of one resource that was sent."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REPLAYED = "replayed"
    KEPT = "kept"
    """Of a type that is not stored: it stands in the text received."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said back about one resource. ``content`` is its current text; ``fault`` only when it failed."""

    became: Became
    issues: tuple[Issue, ...] = ()
    type: str | None = None
    id: str | None = None
    version: int = 0
    last_updated: str = ""
    content: str = ""
    task_id: str | None = None
    fault: FaultKind | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """What a whole request became: one answer, or one an entry of its Bundle, in order.

    ``asked`` is what an answer to a message repeats of it.
    """

    answers: tuple[Answer, ...]
    failed: Answer | None = None
    bundle_type: str | None = None
    asked: Asked = field(default_factory=Asked)


def failed(kind: FaultKind, *issues: Issue) -> Answer:
    return Answer(Became.FAILED, issues, fault=kind)


def new_id() -> str:
    """A UUID of version 7, whose first 48 bits are the milliseconds since 1970: what is new stands together on disk.

    https://www.rfc-editor.org/rfc/rfc9562#section-5.7
    """
    moment, chance = time_ns() // 1_000_000, int.from_bytes(_ten_bytes())
    number = moment << 80 | 7 << 76 | (chance >> 68) << 64 | 2 << 62 | chance & _SIXTY_TWO_BITS
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


_SIXTY_TWO_BITS = 2**62 - 1
_AHEAD = 64
_chances: deque[bytes] = deque()
register_at_fork(after_in_child=_chances.clear)


def _ten_bytes() -> bytes:
    """Of chance, drawn for many ids together: each look at the system's source lets other threads in between."""
    try:
        return _chances.pop()
    except IndexError:
        drawn = urandom(10 * _AHEAD)
        _chances.extend(drawn[place : place + 10] for place in range(10, len(drawn), 10))
        return drawn[:10]


def type_and_id(reference: str) -> tuple[str, str]:
    kind, _, identity = reference.partition("/")
    return kind, identity


def is_failed(answer: Answer | None) -> bool:
    return answer is not None and answer.became is Became.FAILED


def reference_to(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"
