"""What cookies are signed with: given as a setting, else made once and kept beside an SQLite file."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from referral_service.settings import SettingsError

SHORTEST = 32
"""Characters; fewer could be guessed at."""


def secret_key(given: str, database: Path | None) -> str:
    """Raises :class:`SettingsError` when none is given and none can be kept: each process would have its own."""
    if given:
        if len(given) < SHORTEST:
            raise SettingsError(f"REFERRAL_SECRET_KEY has fewer than {SHORTEST} characters")
        return given
    if database is None:
        raise SettingsError("REFERRAL_SECRET_KEY is missing; it is only made by itself beside an SQLite file")
    path = database.with_name(f"{database.name}.secret-key")
    with suppress(FileExistsError):
        _write(path, secrets.token_urlsafe(48))
    kept = path.read_text("ascii").strip()
    if len(kept) < SHORTEST:
        raise SettingsError("REFERRAL_SECRET_KEY is not given, and the file beside the database holds none")
    return kept


def _write(path: Path, key: str) -> None:
    """Whole or not at all, and for nobody else to read."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.touch(mode=0o600)
    try:
        part.write_text(key, "ascii")
        os.link(part, path)
    finally:
        part.unlink()
