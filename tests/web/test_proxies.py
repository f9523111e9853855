"""Behind a proxy: who called it is believed from the proxies that the site names, and from nobody else."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest
from sqlalchemy import select

from referral_service.store import tables
from referral_service.store.engine import open_store
from referral_service.web.proxies import caller_of
from tests.serving import Server
from tests.shapes import referral

PROXIES = (ip_network("10.1.0.0/16"), ip_network("2001:db8::/64"), ip_network("127.0.0.1"))


@pytest.mark.parametrize(
    ("connected", "told", "caller"),
    [
        ("203.0.113.9", "198.51.100.7", "203.0.113.9"),
        ("10.1.0.1", "", "10.1.0.1"),
        ("10.1.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.1.0.1", "192.0.2.1, 198.51.100.7", "198.51.100.7"),
        ("10.1.0.1", "192.0.2.1,198.51.100.7, 10.1.2.3", "198.51.100.7"),
        ("10.1.0.1", "10.1.9.9, 10.1.2.3", "10.1.9.9"),
        ("10.1.0.1", "198.51.100.7, unknown", "10.1.0.1"),
        ("10.1.0.1", "198.51.100.7,", "10.1.0.1"),
        ("10.1.0.1", "198.51.100.7:4711", "198.51.100.7"),
        ("2001:db8::1", "[2001:db8:1::7]:4711", "2001:db8:1::7"),
        ("2001:db8::1", "2001:DB8:1:0::7", "2001:db8:1::7"),
        ("::ffff:10.1.0.1", "198.51.100.7", "198.51.100.7"),
        ("", "198.51.100.7", ""),
    ],
)
def test_the_last_address_that_is_no_proxy_of_the_site_is_who_calls(connected: str, told: str, caller: str) -> None:
    assert caller_of(connected, told, PROXIES) == caller
    assert caller_of(connected, told, ()) == str(caller_of(connected, "", ()))


@pytest.mark.parametrize(
    ("settings", "caller"),
    [({}, "127.0.0.1"), ({"REFERRAL_PROXIES": "10.1.0.0/16 127.0.0.1"}, "203.0.113.9")],
    ids=["none", "named"],
)
def test_who_called_a_proxy_stands_in_the_trail_when_the_proxy_is_named(
    tmp_path: Path, settings: dict[str, str], caller: str
) -> None:
    server = Server(f"sqlite:///{tmp_path / 'proxied.db'}", tmp_path, settings)
    server.start()
    told = {"X-Forwarded-For": "192.0.2.1, 203.0.113.9", "Forwarded": "for=192.0.2.2", "X-Real-Ip": "192.0.2.3"}
    elsewhere = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/evil"}
    made = server.post("/fhir/ServiceRequest", referral(), **told, **elsewhere)
    server.stop()
    assert made.headers["Location"].startswith(f"{server.base}/fhir/ServiceRequest/")
    store = open_store(server.database_url)
    with store.reading() as connection:
        assert set(connection.execute(select(tables.audit_event.c.network)).scalars()) == {caller}
    store.close()
