"""Addresses of others: where one may be called, and where mail can go."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}
_MAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")

_TRANSLATED = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))


def origin(address: str) -> str:
    """Scheme, host and port, the port always written out: what two addresses share that lead to one server.

    Raises ``ValueError`` for what is no http or https address, or carries a name and password.
    """
    parts = urlsplit(address)
    if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None or parts.fragment:
        raise ValueError("no http or https address")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{parts.port if parts.port is not None else _PORTS[parts.scheme]}"


def is_mail_address(text: str) -> bool:
    """One plain mailbox, as HTML's e-mail input takes it: no display name, no list, nothing that a header could hide.

    https://html.spec.whatwg.org/multipage/input.html#valid-e-mail-address
    """
    return bool(_MAIL.fullmatch(text))


def is_public(number: str) -> bool:
    """Whether an IP address is one of the open internet; one that hides another inside is not.

    https://www.iana.org/assignments/iana-ipv6-special-registry
    """
    address = ip_address(number.partition("%")[0])
    if isinstance(address, IPv6Address):
        hides = address.ipv4_mapped or address.sixtofour or address.teredo
        if hides or any(address in network for network in _TRANSLATED):
            return False
    return address.is_global and not address.is_multicast


def is_named_private(host: str) -> bool:
    """Whether a host is surely none of the open internet, by its name alone; where others lead is seen when called."""
    try:
        return not is_public(host)
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal"))
