"""The key that is made beside an SQLite file: once, for its owner alone."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from referral_service.access.secret import SecretError, key_beside
from referral_service.app import gate_of
from referral_service.settings import SettingsError, from_environment


def test_it_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    made = key_beside(tmp_path / "referrals.db")
    kept = tmp_path / "referrals.db.key"
    assert (kept.read_text("ascii"), stat.S_IMODE(kept.stat().st_mode)) == (made, 0o600)
    assert len(made) == 43
    assert key_beside(tmp_path / "referrals.db") == made
    assert [path.name for path in tmp_path.iterdir()] == ["referrals.db.key"]


def test_those_who_start_at_once_get_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(lambda _: key_beside(tmp_path / "referrals.db"), range(16)))) == 1


def test_one_that_others_can_read_is_refused(tmp_path: Path) -> None:
    key_beside(tmp_path / "referrals.db")
    (tmp_path / "referrals.db.key").chmod(0o640)
    with pytest.raises(SecretError, match=r"referrals\.db\.key beside the database can be read by others"):
        key_beside(tmp_path / "referrals.db")


def test_an_empty_one_is_refused(tmp_path: Path) -> None:
    key_beside(tmp_path / "referrals.db")
    (tmp_path / "referrals.db.key").write_text("\n", "ascii")
    with pytest.raises(SecretError, match="holds no key"):
        key_beside(tmp_path / "referrals.db")


def test_a_folder_that_cannot_be_written_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(SecretError, match="cannot be read or made"):
        key_beside(tmp_path / "nowhere" / "referrals.db")


def test_the_gate_takes_the_one_of_the_settings_or_makes_one(tmp_path: Path) -> None:
    given = {"REFERRAL_DATABASE_URL": f"sqlite:///{tmp_path / 'referrals.db'}"}
    made = gate_of(from_environment(given))
    assert (made.asks, made.secret_key) == (True, key_beside(tmp_path / "referrals.db"))
    assert gate_of(from_environment(given | {"REFERRAL_SECRET_KEY": "k" * 32})).secret_key == "k" * 32
    assert "k" * 32 not in repr(gate_of(from_environment(given | {"REFERRAL_SECRET_KEY": "k" * 32})))
    with pytest.raises(SettingsError, match="REFERRAL_SECRET_KEY is not set, and the database is no file"):
        gate_of(from_environment({"REFERRAL_DATABASE_URL": "sqlite://"}))
