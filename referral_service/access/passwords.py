"""Passwords: long enough and not among those tried first, no rules of composition, kept as Argon2id alone.

NIST SP 800-63B, 3.1.1.2: https://pages.nist.gov/800-63-4/sp800-63b.html#passwordver
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

SHORTEST, LONGEST = 12, 256
_HASHER = PasswordHasher(parallelism=1)
"""On one core, so that no more of the machine is taken than is meant to be."""
_LAST_STEP = 4
_WORD = re.compile(r"[^\W_]{3,}")


def is_fit(password: str) -> bool:
    """Whether a new password has the length that is asked, in characters."""
    return SHORTEST <= len(_normal(password)) <= LONGEST


def is_guessed(password: str, own: Iterable[str]) -> bool:
    """Whether whoever guesses comes to a new password early: it is a common one, or made of common ones, of rows of
    keys, of repetitions, years and names, or of ``own`` words, of the person and of this service.

    Early is within 10 to the power of 10 guesses, the last step of zxcvbn, which also brings the lists of what is
    common (https://www.usenix.org/conference/usenixsecurity16/technical-sessions/presentation/wheeler).
    """
    from zxcvbn import zxcvbn  # whose lists nobody needs who only signs in

    words = {part for text in own for part in (text, *_WORD.findall(text))}
    return bool(zxcvbn(_normal(password), user_inputs=[*words], max_length=LONGEST)["score"] < _LAST_STEP)


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
