"""Environment -> one frozen Settings, parsed once, loud when wrong.

Each name also works with ``_FILE`` behind it, naming a file that holds the value.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from referral_service.access.gate import OpenId
from referral_service.addresses import is_mail_address, origin

PREFIX = "REFERRAL_"
SECRET_LENGTH = 32
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
KNOWN = frozenset(
    {
        *("DATABASE_URL", "POLICY", "HOST", "PORT", "PUBLIC_URL", "AUTH", "DEMO", "SANDBOX", "OUTBOUND", "PROXIES"),
        *("SECRET_KEY", "CLIENT_KEY"),
        *("LOG_FORMAT", "LOG_LEVEL", "METRICS_PORT"),
        *("ISSUER", "ISSUER_JWKS", "ISSUER_AUDIENCE"),
        *("SMTP_HOST", "SMTP_PORT", "SMTP_TLS", "SMTP_USER", "SMTP_PASSWORD", "SMTP_SENDER"),
        *("OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET", "OIDC_ROLE_CLAIM", "USER_PASSWORD"),
    }
)
FORMATS = ("json", "line")
LEVELS = ("info", "debug", "warning", "error")
"""How the log is written, and from which level on; the first of each is the default."""
MAIL_PORTS = {"starttls": 587, "tls": 465, "none": 25}
"""How the way to the mail server is encrypted -> the port that goes with it."""
_NOT_OURS = re.compile(r"REFERRAL_TEST_.*")


class SettingsError(ValueError):
    """A setting cannot be used; the message names it and never shows its value."""


@dataclass(frozen=True, slots=True)
class Mail:
    """The site's mail server. ``tls`` is one of :data:`MAIL_PORTS`; ``user`` is None when it asks for no log-in."""

    host: str
    port: int
    tls: str
    sender: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class OutsideIssuer:
    """Whose access tokens count beside our own: its name, where its keys are, and what it calls this service."""

    name: str
    jwks: str
    audience: str


@dataclass(frozen=True, slots=True)
class Settings:
    """``public_url`` is what Location and links begin with; the Host header is never trusted.

    ``outbound`` are the origins (scheme, host and port) that may be called; ``mail`` is None when none is to be sent;
    ``proxies`` are the networks of the site's own proxies, which say who has called them. ``metrics_port`` is where a
    worker tells its metrics, None when it does not.
    """

    database_url: str
    policy: Path | None
    host: str
    port: int
    public_url: str
    auth: str
    demo: bool
    sandbox: bool = False
    outbound: frozenset[str] = frozenset()
    mail: Mail | None = None
    secret_key: str = field(default="", repr=False)
    client_key: str = field(default="", repr=False)
    issuer: OutsideIssuer | None = None
    openid: OpenId | None = None
    user_password: str | None = field(default=None, repr=False)
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    log_format: str = "json"
    log_level: str = "info"
    metrics_port: int | None = None


def from_environment(environment: Mapping[str, str] | None = None, *, serves: bool = True) -> Settings:
    """Raises :class:`SettingsError` naming the first variable that is unknown or wrong.

    Who may call is only asked of a process that ``serves``.
    """
    values = _values(os.environ if environment is None else environment)
    host, port = values.get("HOST", "127.0.0.1"), _port("PORT", values.get("PORT", "8080"))
    shown = f"[{host}]" if ":" in host else host
    settings = Settings(
        database_url=values.get("DATABASE_URL", "sqlite:///referral-service.db"),
        policy=Path(values["POLICY"]) if "POLICY" in values else None,
        host=host,
        port=port,
        public_url=_url(values.get("PUBLIC_URL", f"http://{shown}:{port}")),
        auth=values.get("AUTH", "smart"),
        demo=_switch("DEMO", values),
        sandbox=_switch("SANDBOX", values),
        outbound=frozenset(map(_origin, values.get("OUTBOUND", "").split())),
        mail=_mail(values),
        secret_key=values.get("SECRET_KEY", ""),
        client_key=values.get("CLIENT_KEY", ""),
        issuer=_issuer(values),
        openid=_openid(values),
        user_password=values.get("USER_PASSWORD"),
        proxies=tuple(map(_network, values.get("PROXIES", "").split())),
        log_format=_one_of("LOG_FORMAT", FORMATS, values),
        log_level=_one_of("LOG_LEVEL", LEVELS, values),
        metrics_port=_port("METRICS_PORT", values["METRICS_PORT"]) if "METRICS_PORT" in values else None,
    )
    if serves:
        _check_auth(settings)
    return settings


def _values(environment: Mapping[str, str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in environment.items():
        if not name.startswith(PREFIX) or _NOT_OURS.fullmatch(name):
            continue
        key = name.removeprefix(PREFIX).removesuffix("_FILE")
        if key not in KNOWN:
            raise SettingsError(f"{name} is no setting of this service")
        if key in values:
            raise SettingsError(f"{PREFIX}{key} is given twice, by itself and as a file")
        values[key] = _from_file(name, value) if name.endswith("_FILE") else value
    return values


def _from_file(name: str, path: str) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as problem:
        raise SettingsError(f"{name} names a file that cannot be read") from problem


def _port(key: str, value: str) -> int:
    if not value.isdecimal() or not 0 < int(value) < 65536:
        raise SettingsError(f"{PREFIX}{key} is no port number")
    return int(value)


def _switch(key: str, values: Mapping[str, str]) -> bool:
    value = values.get(key, "0")
    if value not in ("0", "1"):
        raise SettingsError(f"{PREFIX}{key} is 0 or 1")
    return value == "1"


def _one_of(key: str, known: tuple[str, ...], values: Mapping[str, str]) -> str:
    value = values.get(key, known[0])
    if value not in known:
        raise SettingsError(f"{PREFIX}{key} is one of {', '.join(known)}")
    return value


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise SettingsError("REFERRAL_PUBLIC_URL is no http or https address")
    return value.rstrip("/")


def _origin(value: str) -> str:
    parts = urlsplit(value)
    try:
        found = origin(value)
    except ValueError as problem:
        raise SettingsError("REFERRAL_OUTBOUND holds what is no http or https address") from problem
    if parts.path.strip("/") or parts.query:
        raise SettingsError("REFERRAL_OUTBOUND lists scheme, host and port only, with no path behind them")
    return found


def _network(value: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(value)
    except ValueError as problem:
        raise SettingsError("REFERRAL_PROXIES holds what is no address and no network") from problem


def _issuer(values: Mapping[str, str]) -> OutsideIssuer | None:
    given = [values.get(key, "") for key in ("ISSUER", "ISSUER_JWKS", "ISSUER_AUDIENCE")]
    if not any(given):
        return None
    if not all(given):
        raise SettingsError("REFERRAL_ISSUER, REFERRAL_ISSUER_JWKS and REFERRAL_ISSUER_AUDIENCE are given together")
    try:
        is_https = origin(given[1]).startswith("https://")
    except ValueError:
        is_https = False
    if not is_https:
        raise SettingsError("REFERRAL_ISSUER_JWKS is no https address")
    return OutsideIssuer(*given)


def _mail(values: Mapping[str, str]) -> Mail | None:
    given = sorted(key for key in values if key.startswith("SMTP_"))
    if not given:
        return None
    if "SMTP_HOST" not in values:
        raise SettingsError(f"{PREFIX}{given[0]} is set, but REFERRAL_SMTP_HOST is not")
    tls = values.get("SMTP_TLS", "starttls")
    if tls not in MAIL_PORTS:
        raise SettingsError(f"REFERRAL_SMTP_TLS is one of {', '.join(MAIL_PORTS)}")
    if not is_mail_address(values.get("SMTP_SENDER", "")):
        raise SettingsError("REFERRAL_SMTP_SENDER is missing or no mail address")
    if ("SMTP_USER" in values) != ("SMTP_PASSWORD" in values):
        raise SettingsError("REFERRAL_SMTP_USER and REFERRAL_SMTP_PASSWORD are given together or not at all")
    if "SMTP_USER" in values and tls == "none":
        raise SettingsError("REFERRAL_SMTP_TLS=none would send the password in the clear")
    return Mail(
        host=values["SMTP_HOST"],
        port=_port("SMTP_PORT", values.get("SMTP_PORT", str(MAIL_PORTS[tls]))),
        tls=tls,
        sender=values["SMTP_SENDER"],
        user=values.get("SMTP_USER"),
        password=values.get("SMTP_PASSWORD"),
    )


def _openid(values: Mapping[str, str]) -> OpenId | None:
    given = sorted(key for key in values if key.startswith("OIDC_"))
    if not given:
        return None
    for key in ("OIDC_ISSUER", "OIDC_CLIENT_ID"):
        if key not in values:
            raise SettingsError(f"{PREFIX}{given[0]} is set, but {PREFIX}{key} is not")
    issuer = values["OIDC_ISSUER"]
    parts = urlsplit(issuer)
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
    if not is_safe or not parts.hostname or parts.query or parts.fragment:
        raise SettingsError("REFERRAL_OIDC_ISSUER is no https address")
    claim, secret = values.get("OIDC_ROLE_CLAIM", "roles"), values.get("OIDC_CLIENT_SECRET")
    return OpenId(issuer, values["OIDC_CLIENT_ID"], claim, secret)


def _check_auth(settings: Settings) -> None:
    if settings.auth == "smart":
        _check_secret(settings)
        _check_encrypted(settings)
        return
    if settings.auth != "none":
        raise SettingsError("REFERRAL_AUTH is smart or none")
    if settings.host not in LOOPBACK and not settings.demo:
        raise SettingsError("REFERRAL_AUTH=none is only for loopback, or with REFERRAL_DEMO=1")


def _check_encrypted(settings: Settings) -> None:
    """Tokens, passwords and cookies in the clear are anybody's on the way (RFC 6750 5.2, SMART App Launch 2.2)."""
    address = urlsplit(settings.public_url)
    if address.scheme != "https" and address.hostname not in LOOPBACK and not settings.demo:
        words = "is no https address; tokens and passwords would go in the clear. Only REFERRAL_DEMO=1 lets them"
        raise SettingsError(f"REFERRAL_PUBLIC_URL {words}")


def _check_secret(settings: Settings) -> None:
    if not settings.secret_key and not settings.database_url.startswith("sqlite"):
        raise SettingsError("REFERRAL_SECRET_KEY is missing; only beside an SQLite file is one made")
    if settings.secret_key and len(settings.secret_key) < SECRET_LENGTH:
        raise SettingsError(f"REFERRAL_SECRET_KEY is shorter than {SECRET_LENGTH} characters")
