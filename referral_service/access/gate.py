"""How callers of one running service are told apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from referral_service.access.callers import Caller
from referral_service.access.issuer import Issuer
from referral_service.access.key_sets import KeySets
from referral_service.access.own_key import OwnKey


@dataclass(frozen=True, slots=True)
class OpenId:
    """An OpenID provider that people may sign in at; ``role_claim`` is the claim that names their role here."""

    issuer: str
    client_id: str
    role_claim: str
    client_secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Gate:
    """``asks`` is whether anybody is asked who they are; ``secret_key`` is what cookies are signed with, ``key_sets``
    what the signatures of systems are checked with, ``issuer`` one outside whose tokens count too, ``own_key`` what
    this service signs with at EHRs.

    ``told`` says who calls without looking at the request, for tests; None asks the request.
    """

    asks: bool
    secret_key: str = field(default="", repr=False)
    key_sets: KeySets = field(default_factory=KeySets, repr=False, compare=False)
    issuer: Issuer | None = None
    told: Callable[[], Caller | None] | None = None
    openid: OpenId | None = None
    own_key: OwnKey | None = None


OPEN = Gate(asks=False)
"""Nobody is asked: all callers are one and the same."""
