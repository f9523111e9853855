"""The keys of a site that keeps its records in an SQLite file: made once, and kept beside it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

_BYTES = 32
_MODE = 0o600


class SecretError(ValueError):
    """The file cannot be used; the message names it and never shows what it holds."""


def key_beside(database: Path) -> str:
    """What stands in ``{database}.key``: see :func:`kept_beside`."""
    return kept_beside(database, "key", lambda: secrets.token_urlsafe(_BYTES))


def kept_beside(database: Path, suffix: str, make: Callable[[], str]) -> str:
    """What stands in ``{database}.{suffix}``, which only its owner can read; made when it is not there.

    Several processes that start at once get the same one. Raises :class:`SecretError`.
    """
    path = database.with_name(f"{database.name}.{suffix}")
    try:
        _write(path, make)
        if path.stat().st_mode & 0o077:
            raise SecretError(f"{path.name} beside the database can be read by others; its mode is to be 0600")
        key = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as problem:
        raise SecretError(f"{path.name} beside the database cannot be read or made") from problem
    if len(key) < _BYTES:
        raise SecretError(f"{path.name} beside the database holds no key; remove it and another is made")
    return key


def _write(path: Path, make: Callable[[], str]) -> None:
    """Written whole under another name first, so that nobody reads half of it."""
    if path.exists():
        return
    beginning = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(beginning, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(make())
        os.link(beginning, path)
    except FileExistsError:
        return  # another process was quicker, and its key counts
    finally:
        beginning.unlink()
