"""Registering a system: everything about it is looked at before it is kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from referral_service.access.assertions import MAX_ISSUER
from referral_service.access.callers import BY_HAND
from referral_service.access.keys import KeySetError, read_key_set
from referral_service.access.scopes import ScopeError, parse_scopes
from referral_service.addresses import is_named_private, origin
from referral_service.referral import Queue
from referral_service.store import systems
from referral_service.store.engine import Connection, instant
from referral_service.store.writes import KeyTaken
from referral_service.worklist import Role
from referral_service.worklist.actors import machine

CLIENT_ROLES = (Role.PLACER, Role.FILLER)
TELLING = ("task", "bser", "bars")
"""The ways in which a client can be told at its own FHIR server."""

MAX_KEY_SET = 64 * 1024
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s]+", re.ASCII)
_RESERVED = frozenset({BY_HAND, machine().id})


class RegistrationError(ValueError):
    """A system cannot be registered so; the message says what to mend."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What is asked for. Its key set is given as a file holds it (``jwks``) or as an address (``jwks_url``), or its
    tokens come from the issuer outside: one of the three.

    ``callbacks`` are the origins that its Subscriptions may lead to, ``ehr_base`` is the address of its FHIR server.
    """

    id: str
    name: str
    roles: tuple[str, ...]
    queues: tuple[str, ...]
    scopes: tuple[str, ...]
    jwks: bytes | None = None
    jwks_url: str | None = None
    placer_system: str | None = None
    bars: bool = False
    callbacks: tuple[str, ...] = ()
    tell: str | None = None
    outside_issuer: bool = False
    cds_issuer: str | None = None
    ehr_base: str | None = None
    ehr_token_url: str | None = None
    ehr_client_id: str | None = None


def register(
    connection: Connection,
    asked: Registration,
    types: Iterable[str],
    at: datetime,
    private: frozenset[str] = frozenset(),
) -> None:
    """Raises :class:`RegistrationError`. ``types`` are those that a scope may name.

    ``private`` are the origins that may lie at private addresses or be plain http.
    """
    row = {**_row(asked, types, at), **_ehr(asked, private), **_told(asked, private)}
    try:
        is_new = systems.register(connection, row)
    except KeyTaken as problem:
        words = "was registered at the same moment, or its issuer of CDS Hooks is that of another client"
        raise RegistrationError(f"{asked.id} {words}") from problem
    if not is_new:
        raise RegistrationError(f"{asked.id} is registered; revoke it first, and its records stay its own")


def _row(asked: Registration, types: Iterable[str], at: datetime) -> systems.Row:
    if not _ID.fullmatch(asked.id) or asked.id in _RESERVED:
        raise RegistrationError(
            "the id is letters, digits, dots, dashes and underscores, at most 64, "
            f"and none of {', '.join(sorted(_RESERVED))}"
        )
    _check_line("the name", asked.name, 256)
    if asked.placer_system is not None:
        _check_line("the placer system", asked.placer_system, 256)
    _check_roles(asked)
    _check_keys(asked)
    _check_hooks(asked)
    return {
        "id": asked.id,
        "name": asked.name,
        "roles": " ".join(role for role in CLIENT_ROLES if role in asked.roles),
        "queues": " ".join(queue for queue in Queue if queue in asked.queues),
        "scopes": _scopes(asked.scopes, types),
        "jwks": _text(asked.jwks) if asked.jwks is not None else None,
        "jwks_url": asked.jwks_url,
        "placer_system": asked.placer_system,
        "bars": int(asked.bars),
        "cds_issuer": asked.cds_issuer,
        "registered_at": instant(at),
    }


def _ehr(asked: Registration, private: frozenset[str]) -> dict[str, str | None]:
    """Where its records can be read, and how one logs in there."""
    if (asked.ehr_token_url is None) != (asked.ehr_client_id is None):
        raise RegistrationError("where the EHR wants a log-in, its token address and our id there are given together")
    if asked.ehr_token_url is not None and asked.ehr_base is None:
        raise RegistrationError("a log-in at an EHR needs the EHR's base")
    for what, address in (("base", asked.ehr_base), ("token address", asked.ehr_token_url)):
        if address is not None:
            _check_line(f"the EHR's {what}", address, 512)
            _check_callable(f"the EHR's {what}", address, private)
    if asked.ehr_client_id is not None:
        _check_line("our id at the EHR", asked.ehr_client_id, 256)
    return {
        "ehr_base": asked.ehr_base.rstrip("/") if asked.ehr_base is not None else None,
        "ehr_token_url": asked.ehr_token_url,
        "ehr_client_id": asked.ehr_client_id,
    }


def _check_callable(what: str, address: str, private: frozenset[str]) -> None:
    """An address is called as it stands: nothing in it may be read in two ways."""
    try:
        found = origin(address)
    except ValueError as problem:
        raise RegistrationError(f"{what} is an https address with no name or password in it") from problem
    steps = set(urlsplit(address).path.rstrip("/").split("/")[1:])
    if any(mark in address for mark in "?#%\\ ") or steps & {".", "..", ""}:
        raise RegistrationError(f"{what} has nothing behind its path, and no empty step, dots or escapes in that")
    if found in private:
        return
    if not found.startswith("https://"):
        raise RegistrationError(f"{what} begins with https://, unless its origin stands in REFERRAL_OUTBOUND")
    if is_named_private(urlsplit(address).hostname or ""):
        raise RegistrationError(f"{what} lies at a private address, and its origin is not in REFERRAL_OUTBOUND")


def _told(asked: Registration, private: frozenset[str]) -> dict[str, str | None]:
    """Where a client may be told by Subscriptions, and in which way at its FHIR server."""
    for callback in asked.callbacks:
        _check_callable("a callback", callback, private)
        if urlsplit(callback).path.strip("/"):
            raise RegistrationError("a callback is scheme, host and port only, with no path behind them")
    if asked.tell is not None and (asked.tell not in TELLING or asked.ehr_base is None):
        raise RegistrationError(f"a client is told by {' or '.join(TELLING)}, at its EHR's base")
    return {"callbacks": " ".join(dict.fromkeys(map(origin, asked.callbacks))), "tell": asked.tell}


def _check_line(what: str, text: str, longest: int) -> None:
    if not text.strip() or len(text) > longest or not text.isprintable():
        raise RegistrationError(f"{what} is one line of at most {longest} characters")


def _check_roles(asked: Registration) -> None:
    if not asked.roles or not set(asked.roles) <= set(CLIENT_ROLES):
        raise RegistrationError(f"a role is {' or '.join(CLIENT_ROLES)}, and there is at least one")
    if not set(asked.queues) <= set(Queue):
        raise RegistrationError(f"a queue is one of {', '.join(Queue)}")
    if bool(asked.queues) != (Role.FILLER in asked.roles):
        raise RegistrationError("a filler has at least one queue, and nobody else has any")


def _scopes(words: tuple[str, ...], types: Iterable[str]) -> str:
    try:
        return str(parse_scopes(" ".join(words), types))
    except ScopeError as problem:
        raise RegistrationError(f"scopes: {problem}") from problem


def _check_keys(asked: Registration) -> None:
    if [asked.jwks is not None, asked.jwks_url is not None, asked.outside_issuer].count(True) != 1:
        raise RegistrationError("keys are given as a file, as an address, or left to the issuer outside: one of these")
    if asked.jwks is not None:
        if len(asked.jwks) > MAX_KEY_SET:
            raise RegistrationError(f"the key set is larger than {MAX_KEY_SET // 1024} KiB")
        try:
            read_key_set(_text(asked.jwks))
        except KeySetError as problem:
            raise RegistrationError(str(problem)) from problem
    elif asked.jwks_url is not None:
        _check_line("the address of the key set", asked.jwks_url, 512)
        if not _is_https(asked.jwks_url):
            raise RegistrationError("the address of the key set begins with https:// and holds no name or password")


def _check_hooks(asked: Registration) -> None:
    if asked.cds_issuer is None:
        return
    _check_line("the issuer of CDS Hooks", asked.cds_issuer, MAX_ISSUER)
    if not _URL.fullmatch(asked.cds_issuer):
        raise RegistrationError("the issuer of CDS Hooks is a URL")
    if asked.outside_issuer:
        raise RegistrationError("a system that calls by CDS Hooks signs with keys of its own")


def _text(key_set: bytes) -> str:
    try:
        return key_set.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise RegistrationError("the key set is no text in UTF-8") from problem


def _is_https(address: str) -> bool:
    try:
        return origin(address).startswith("https://")
    except ValueError:
        return False


def table(clients: Iterable[systems.Row]) -> Iterator[str]:
    """A line for each client: its id, roles, queues, scopes, keys, what else it was registered with, if it may call."""
    rows = [("id", "name", "roles", "queues", "scopes", "keys", "besides", "state")]
    for one in clients:
        keys = _keys_in_words(one)
        state = f"revoked {one['revoked_at']}" if one["revoked_at"] else f"since {one['registered_at']}"
        besides = _besides(one) or "-"
        rows.append((one["id"], one["name"], one["roles"], one["queues"] or "-", one["scopes"], keys, besides, state))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _keys_in_words(client: systems.Row) -> str:
    if client["jwks"] is None:
        return client["jwks_url"] or "of the issuer outside"
    return "kid " + ", ".join(key.kid for key in read_key_set(client["jwks"]))


def _besides(client: systems.Row) -> str:
    """What a client was registered with beyond roles, scopes and keys, by the names of the options."""
    named = ("placer_system", "cds_issuer", "ehr_base", "ehr_token_url", "ehr_client_id", "tell")
    given = [f"{name.replace('_', '-')} {client[name]}" for name in named if client[name]]
    return ", ".join(["bars"] * client["bars"] + given + [f"callback {one}" for one in client["callbacks"].split()])
