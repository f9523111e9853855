"""Settings come from the environment, once, and are loud when wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from referral_service.access.gate import OpenId
from referral_service.settings import Mail, Settings, SettingsError, from_environment


def test_the_defaults_are_an_sqlite_file_and_loopback() -> None:
    assert from_environment({"REFERRAL_AUTH": "none"}) == Settings(
        database_url="sqlite:///referral-service.db",
        policy=None,
        host="127.0.0.1",
        port=8080,
        public_url="http://127.0.0.1:8080",
        auth="none",
        demo=False,
        outbound=frozenset(),
        mail=None,
    )


def test_a_value_can_stand_in_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("postgresql://db/referrals\n", "utf-8")
    settings = from_environment({"REFERRAL_AUTH": "none", "REFERRAL_DATABASE_URL_FILE": str(secret)})
    assert settings.database_url == "postgresql://db/referrals"


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"REFERRAL_DATABASE_URL": "postgresql://db/referrals"}, "REFERRAL_SECRET_KEY is missing"),
        ({"REFERRAL_SECRET_KEY": "short"}, "REFERRAL_SECRET_KEY is shorter than 32 characters"),
        ({"REFERRAL_PUBLIC_URL": "http://referrals.example"}, "REFERRAL_PUBLIC_URL is no https address"),
        ({"REFERRAL_PUBLIC_URL": "http://127.0.0.1.example"}, "REFERRAL_PUBLIC_URL is no https address"),
        ({"REFERRAL_HOST": "0.0.0.0"}, "REFERRAL_PUBLIC_URL is no https address"),
        ({"REFERRAL_AUTH": "off"}, "REFERRAL_AUTH is smart or none"),
        ({"REFERRAL_AUTH": "none", "REFERRAL_HOST": "0.0.0.0"}, "only for loopback"),
        ({"REFERRAL_AUTH": "none", "REFERRAL_PORT": "http"}, "REFERRAL_PORT is no port number"),
        ({"REFERRAL_AUTH": "none", "REFERRAL_PUBLIC_URL": "referrals.example"}, "REFERRAL_PUBLIC_URL is no http"),
        ({"REFERRAL_AUTH": "none", "REFERRAL_DATABASE": "x"}, "REFERRAL_DATABASE is no setting"),
        ({"REFERRAL_AUTH": "none", "REFERRAL_AUTH_FILE": "x"}, "given twice"),
        ({"REFERRAL_AUTH": "none", "REFERRAL_OUTBOUND": "pager.example"}, "REFERRAL_OUTBOUND holds what is no http"),
        ({"REFERRAL_AUTH": "none", "REFERRAL_OUTBOUND": "https://a:x@b.example"}, "holds what is no http"),
        ({"REFERRAL_AUTH": "none", "REFERRAL_OUTBOUND": "https://b.example/path"}, "scheme, host and port only"),
        ({"REFERRAL_OIDC_ISSUER": "https://idp.example"}, "REFERRAL_OIDC_CLIENT_ID is not"),
        ({"REFERRAL_OIDC_CLIENT_ID": "us"}, "REFERRAL_OIDC_ISSUER is not"),
        ({"REFERRAL_OIDC_CLIENT_ID": "us", "REFERRAL_OIDC_ISSUER": "http://idp.example"}, "is no https address"),
        ({"REFERRAL_PROXIES": "10.1.0.0/16 proxy"}, "REFERRAL_PROXIES holds what is no address"),
        ({"REFERRAL_PROXIES": "10.1.0.1/16"}, "REFERRAL_PROXIES holds what is no address"),
        ({"REFERRAL_AUTH_FILE": "/nowhere"}, "REFERRAL_AUTH_FILE names a file that cannot be read"),
    ],
)
def test_a_wrong_setting_is_named_and_its_value_is_not_shown(environment: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        from_environment(environment)


def test_systems_and_people_are_asked_who_they_are_unless_told_otherwise() -> None:
    assert (from_environment({}).auth, from_environment({}).openid) == ("smart", None)
    given = {"REFERRAL_DATABASE_URL": "postgresql://db/referrals", "REFERRAL_SECRET_KEY": "k" * 32}
    assert from_environment(given).secret_key == "k" * 32


@pytest.mark.parametrize(
    "given",
    [
        {"PUBLIC_URL": "https://referrals.example", "HOST": "0.0.0.0"},
        {"PUBLIC_URL": "http://localhost:8080"},
        {"PUBLIC_URL": "http://[::1]:8080"},
        {"PUBLIC_URL": "http://referrals.example", "DEMO": "1"},
    ],
    ids=lambda given: given["PUBLIC_URL"],
)
def test_tokens_and_passwords_are_taken_over_https_on_loopback_or_in_a_demo(given: dict[str, str]) -> None:
    found = from_environment({f"REFERRAL_{name}": value for name, value in given.items()})
    assert (found.auth, found.public_url) == ("smart", given["PUBLIC_URL"])


def test_a_command_that_serves_nobody_asks_for_no_https() -> None:
    given = {"REFERRAL_PUBLIC_URL": "http://referrals.example"}
    assert from_environment(given, serves=False).public_url == "http://referrals.example"


def test_a_secret_is_not_shown_with_the_settings() -> None:
    assert "k" * 32 not in repr(from_environment({"REFERRAL_SECRET_KEY": "k" * 32}))


def test_an_openid_provider_has_an_issuer_and_a_name_for_us() -> None:
    given = {"REFERRAL_OIDC_ISSUER": "https://idp.example/realm", "REFERRAL_OIDC_CLIENT_ID": "referrals"}
    assert from_environment(given).openid == OpenId("https://idp.example/realm", "referrals", "roles", None)
    secret = given | {"REFERRAL_OIDC_CLIENT_SECRET": "s3cret", "REFERRAL_OIDC_ROLE_CLAIM": "realm_access.roles"}
    settings = from_environment(secret)
    assert settings.openid == OpenId("https://idp.example/realm", "referrals", "realm_access.roles", "s3cret")
    assert "s3cret" not in repr(settings)


def test_the_demo_switch_lets_it_listen_beyond_loopback() -> None:
    environment = {"REFERRAL_AUTH": "none", "REFERRAL_HOST": "0.0.0.0", "REFERRAL_DEMO": "1"}
    assert from_environment(environment).host == "0.0.0.0"


MAIL = {"REFERRAL_AUTH": "none", "REFERRAL_SMTP_HOST": "mail.example", "REFERRAL_SMTP_SENDER": "us@example.org"}


def test_what_may_be_called_is_listed_by_origin() -> None:
    listed = "https://pager.example http://ehr.example:8081/ https://[2001:db8::1]"
    assert from_environment({"REFERRAL_AUTH": "none", "REFERRAL_OUTBOUND": listed}).outbound == {
        "https://pager.example:443",
        "http://ehr.example:8081",
        "https://[2001:db8::1]:443",
    }


@pytest.mark.parametrize(
    ("tls", "port"), [({}, 587), ({"TLS": "tls"}, 465), ({"TLS": "none"}, 25), ({"PORT": "26"}, 26)]
)
def test_mail_goes_encrypted_unless_told_otherwise_to_the_port_of_its_kind(tls: dict[str, str], port: int) -> None:
    given = MAIL | {f"REFERRAL_SMTP_{name}": value for name, value in tls.items()}
    assert from_environment(given).mail == Mail("mail.example", port, tls.get("TLS", "starttls"), "us@example.org")


def test_the_password_of_the_mail_server_can_stand_in_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("s3cret\n", "utf-8")
    mail = from_environment(MAIL | {"REFERRAL_SMTP_USER": "u", "REFERRAL_SMTP_PASSWORD_FILE": str(secret)}).mail
    assert mail is not None
    assert (mail.user, mail.password) == ("u", "s3cret")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"HOST": None}, "REFERRAL_SMTP_SENDER is set, but REFERRAL_SMTP_HOST is not"),
        ({"SENDER": None}, "REFERRAL_SMTP_SENDER is missing or no mail address"),
        ({"SENDER": "Referrals <a@b.example>"}, "REFERRAL_SMTP_SENDER is missing or no mail address"),
        ({"PORT": "0"}, "REFERRAL_SMTP_PORT is no port number"),
        ({"TLS": "ssl"}, "REFERRAL_SMTP_TLS is one of starttls, tls, none"),
        ({"USER": "u"}, "are given together or not at all"),
        ({"PASSWORD": "p"}, "are given together or not at all"),
        ({"USER": "u", "PASSWORD": "p", "TLS": "none"}, "would send the password in the clear"),
    ],
)
def test_wrong_settings_of_mail_are_named(changed: dict[str, str | None], words: str) -> None:
    given = MAIL | {f"REFERRAL_SMTP_{name}": value for name, value in changed.items()}
    with pytest.raises(SettingsError, match=words):
        from_environment({name: value for name, value in given.items() if value is not None})


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("LOG_FORMAT", "xml", "REFERRAL_LOG_FORMAT is one of json, line"),
        ("LOG_LEVEL", "INFO", "REFERRAL_LOG_LEVEL is one of info, debug, warning, error"),
        ("METRICS_PORT", "all", "REFERRAL_METRICS_PORT is no port number"),
    ],
)
def test_how_it_is_watched_is_one_of_what_is_known(name: str, value: str, words: str) -> None:
    with pytest.raises(SettingsError, match=f"^{words}$"):
        from_environment({"REFERRAL_AUTH": "none", f"REFERRAL_{name}": value})


def test_a_log_is_json_from_info_on_and_no_worker_listens_unless_told_otherwise() -> None:
    usual = from_environment({"REFERRAL_AUTH": "none"})
    assert (usual.log_format, usual.log_level, usual.metrics_port) == ("json", "info", None)
    given = {"REFERRAL_LOG_FORMAT": "line", "REFERRAL_LOG_LEVEL": "debug", "REFERRAL_METRICS_PORT": "9090"}
    other = from_environment({"REFERRAL_AUTH": "none", **given})
    assert (other.log_format, other.log_level, other.metrics_port) == ("line", "debug", 9090)
