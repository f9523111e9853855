"""The key that cookies are signed with."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from referral_service.access.secret import secret_key
from referral_service.settings import SettingsError


def test_a_key_is_made_once_beside_the_database_for_nobody_else_to_read(tmp_path: Path) -> None:
    database = tmp_path / "service.db"
    key = secret_key("", database)
    kept = tmp_path / "service.db.secret-key"
    assert (len(key) >= 32, secret_key("", database), list(tmp_path.iterdir())) == (True, key, [kept])
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_a_key_that_is_given_is_the_key() -> None:
    assert secret_key("k" * 32, None) == "k" * 32


@pytest.mark.parametrize("given", ["", "k" * 31])
def test_no_key_and_one_that_could_be_guessed_are_refused(given: str) -> None:
    with pytest.raises(SettingsError, match="REFERRAL_SECRET_KEY"):
        secret_key(given, None)
