"""How callers of one running service are told apart."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class OpenId:
    """An OpenID provider that people may sign in at; ``role_claim`` is the claim that names their role here."""

    issuer: str
    client_id: str
    role_claim: str
    client_secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Gate:
    """``asks`` is whether anybody is asked who they are; ``secret_key`` is what cookies are signed with."""

    asks: bool
    secret_key: str = field(default="", repr=False)
    openid: OpenId | None = None


OPEN = Gate(asks=False)
"""Nobody is asked: all callers are one and the same."""
