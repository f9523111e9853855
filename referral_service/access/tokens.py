"""Access tokens: given out against an assertion, opaque, short-lived, and kept as a hash only."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from referral_service.access.assertions import NOT_KNOWN, Assertion
from referral_service.access.callers import Caller, Kind
from referral_service.access.scopes import ScopeError, Scopes, parse_scopes
from referral_service.access.signed import TokenError
from referral_service.referral import Queue
from referral_service.store import systems
from referral_service.store.engine import Connection
from referral_service.store.systems import Row
from referral_service.worklist import Actor, Role

TOKEN_SECONDS = 300
_BYTES = 32
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
"""256 bits in base64url."""


def use_up(connection: Connection, assertion: Assertion, client: Row) -> None:
    """An assertion counts once, for a client that is still registered as it was when its signature was checked.

    Raises :class:`TokenError` for a client that is not, and :class:`~referral_service.store.writes.KeyTaken` for an
    assertion that was used before.
    """
    if not systems.is_as_it_was(connection, client):
        raise TokenError(NOT_KNOWN)
    systems.use_up(connection, assertion.issuer, assertion.jti, assertion.expires)


def granted(asked: str, client: Row, types: Iterable[str]) -> Scopes:
    """The scopes asked for. Raises :class:`ScopeError` for what is none, or was not granted to the client."""
    known = frozenset(types)
    scopes = parse_scopes(asked, known)
    if not parse_scopes(client["scopes"], known).allow_all(scopes):
        raise ScopeError("more is asked for than the client was granted")
    return scopes


def issue(connection: Connection, client: Row, scopes: Scopes, at: datetime) -> str:
    """A new token for :data:`TOKEN_SECONDS`; what has expired is removed with it."""
    systems.sweep(connection, at)
    token = secrets.token_urlsafe(_BYTES)
    systems.keep_token(connection, _hash(token), client["id"], str(scopes), at + timedelta(seconds=TOKEN_SECONDS))
    return token


def caller_with(connection: Connection, token: str, types: Iterable[str], at: datetime) -> Caller | None:
    """Who holds a token; None when it is unknown or expired, or its client was revoked."""
    if not _TOKEN.fullmatch(token):
        return None
    row = systems.holder(connection, _hash(token), at)
    return system(row, parse_scopes(row["token_scopes"], types)) if row is not None else None


def system(client: Row, scopes: Scopes) -> Caller:
    """A registered client as it calls."""
    roles, queues = map(Role, client["roles"].split()), map(Queue, client["queues"].split())
    actor = Actor(client["id"], client["name"], frozenset(roles), frozenset(queues), client["id"])
    return Caller(Kind.SYSTEM, actor, client["id"], scopes, client["placer_system"], bool(client["bars"]))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
