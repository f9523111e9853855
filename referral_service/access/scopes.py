"""SMART App Launch 2.2 scopes for systems: what a client was granted, and what a request needs.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html#scopes-for-requesting-fhir-resources
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

_ORDER = "cruds"
_SCOPE = re.compile(r"system/(?P<type>\*|[A-Z][A-Za-z]{1,63})\.(?P<may>c?r?u?d?s?)", re.ASCII)


class ScopeError(ValueError):
    """Text that is no scope; the message says which word."""


@dataclass(frozen=True, slots=True)
class Need:
    """One interaction with one type: ``may`` is c, r, u, d or s (create, read, update, delete, search)."""

    type: str
    may: str

    def __str__(self) -> str:
        return f"system/{self.type}.{self.may}"


@dataclass(frozen=True, slots=True)
class Scopes:
    """What a client may do: the letters of ``cruds`` for each type, ``*`` standing for every type."""

    granted: frozenset[Need]

    def allow(self, need: Need) -> bool:
        return need in self.granted or Need("*", need.may) in self.granted

    def allow_all(self, asked: Scopes) -> bool:
        """Whether nothing is asked for that was not granted."""
        return all(self.allow(need) for need in asked.granted)

    def __str__(self) -> str:
        """As words with spaces between, in the order that the grammar asks for."""
        types = sorted({need.type for need in self.granted})
        return " ".join(f"system/{type_}.{self._letters(type_)}" for type_ in types)

    def _letters(self, type_: str) -> str:
        return "".join(letter for letter in _ORDER if Need(type_, letter) in self.granted)


def parse_scopes(text: str, known: Iterable[str]) -> Scopes:
    """The scopes in a text with spaces between. ``known`` are the types that one may be granted.

    Raises :class:`ScopeError` for what is not in the grammar, not in the order c r u d s, or of a type not known here;
    nothing is guessed at, and nothing is widened.
    """
    return _parsed(text, known if isinstance(known, frozenset) else frozenset(known))


@lru_cache(1024)
def _parsed(text: str, types: frozenset[str]) -> Scopes:
    """Every request carries a token, and tokens carry few different scopes."""
    words = text.split(" ")
    if not text or "" in words:
        raise ScopeError("a scope is missing")
    return Scopes(frozenset(need for word in words for need in _needs(word, types)))


def _needs(word: str, types: frozenset[str]) -> list[Need]:
    match = _SCOPE.fullmatch(word)
    if match is None or not match["may"]:
        raise ScopeError(f"{_shown(word)} is no scope, as system/ServiceRequest.cru is")
    if match["type"] != "*" and match["type"] not in types:
        raise ScopeError(f"{_shown(word)} names a type that is not kept here")
    return [Need(match["type"], letter) for letter in match["may"]]


def _shown(word: str) -> str:
    return repr(word if len(word) <= 60 else f"{word[:60]}…")
