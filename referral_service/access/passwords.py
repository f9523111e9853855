"""Passwords: long enough, no rules of composition (NIST SP 800-63B), kept as Argon2id alone."""

from __future__ import annotations

import unicodedata
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

SHORTEST, LONGEST = 12, 256
_HASHER = PasswordHasher(parallelism=1)
"""On one core, so that no more of the machine is taken than is meant to be."""


def is_fit(password: str) -> bool:
    """Whether a new password has the length that is asked, in characters."""
    return SHORTEST <= len(_normal(password)) <= LONGEST


def hashed(password: str) -> str:
    return _HASHER.hash(_normal(password))


def is_right(password: str, kept: str | None) -> bool:
    """Whether a password is the one that was kept. Where none was kept the same work is done, and it never is."""
    try:
        _HASHER.verify(kept or _nobodys(), _normal(password))
    except VerificationError:
        return False
    return kept is not None


def is_outdated(kept: str) -> bool:
    """Whether it was hashed with less effort than is usual now."""
    return _HASHER.check_needs_rehash(kept)


@cache
def _nobodys() -> str:
    return _HASHER.hash("nobody")


def _normal(password: str) -> str:
    """The same however a keyboard composes it (NIST SP 800-63B, 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)
