"""Settings come from the environment, once, and are loud when wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from referral_service.settings import Settings, SettingsError, from_environment


def test_the_defaults_are_an_sqlite_file_and_loopback() -> None:
    assert from_environment({"REFERRAL_AUTH": "none"}) == Settings(
        database_url="sqlite:///referral-service.db",
        policy=None,
        host="127.0.0.1",
        port=8080,
        public_url="http://127.0.0.1:8080",
        auth="none",
        demo=False,
    )


def test_a_value_can_stand_in_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("postgresql://db/referrals\n", "utf-8")
    settings = from_environment({"REFERRAL_AUTH": "none", "REFERRAL_DATABASE_URL_FILE": str(secret)})
    assert settings.database_url == "postgresql://db/referrals"


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "REFERRAL_AUTH=smart, the default, is not in this version"),
        ({"REFERRAL_AUTH": "off"}, "REFERRAL_AUTH is smart or none"),
        ({"REFERRAL_AUTH": "none", "REFERRAL_HOST": "0.0.0.0"}, "only for loopback"),
        ({"REFERRAL_AUTH": "none", "REFERRAL_PORT": "http"}, "REFERRAL_PORT is no port number"),
        ({"REFERRAL_AUTH": "none", "REFERRAL_PUBLIC_URL": "referrals.example"}, "REFERRAL_PUBLIC_URL is no http"),
        ({"REFERRAL_AUTH": "none", "REFERRAL_DATABASE": "x"}, "REFERRAL_DATABASE is no setting"),
        ({"REFERRAL_AUTH": "none", "REFERRAL_AUTH_FILE": "x"}, "given twice"),
        ({"REFERRAL_AUTH_FILE": "/nowhere"}, "REFERRAL_AUTH_FILE names a file that cannot be read"),
    ],
)
def test_a_wrong_setting_is_named_and_its_value_is_not_shown(environment: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        from_environment(environment)


def test_the_demo_switch_lets_it_listen_beyond_loopback() -> None:
    environment = {"REFERRAL_AUTH": "none", "REFERRAL_HOST": "0.0.0.0", "REFERRAL_DEMO": "1"}
    assert from_environment(environment).host == "0.0.0.0"
