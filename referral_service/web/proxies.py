"""Whose address a request comes from where a proxy stands in front.

Only ``X-Forwarded-For`` is read, and only what a proxy of the site's own has written there: of the addresses in it the
last one that is no such proxy. What stands before that, the caller may have made up. No other header of this kind
counts; links and addresses of ours begin with the public URL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

Address = IPv4Address | IPv6Address
Networks = tuple[IPv4Network | IPv6Network, ...]
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class BehindProxies:
    """A WSGI application that sees in REMOTE_ADDR who called the proxies."""

    def __init__(self, application: Wsgi, proxies: Networks) -> None:
        self._application, self._proxies = application, proxies

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        told = environ.get("HTTP_X_FORWARDED_FOR", "")
        environ["REMOTE_ADDR"] = caller_of(environ.get("REMOTE_ADDR", ""), told, self._proxies)
        return self._application(environ, start)


@lru_cache(4096)
def caller_of(connected: str, told: str, proxies: Networks) -> str:
    """Of whoever ``connected`` and those that they were told to be, from the last to the first, the first no proxy."""
    address = _address(connected)
    for hop in reversed(told.split(",")):
        before = _address(hop.strip())
        if before is None or address is None or not any(address in network for network in proxies):
            break
        address = before
    return str(address) if address is not None else connected


def _address(text: str) -> Address | None:
    """Also with a port behind it, as some proxies write it; None when it is no address."""
    bare = text[1:].partition("]")[0] if text.startswith("[") else text
    try:
        found = ip_address(bare.partition(":")[0] if bare.count(":") == 1 else bare)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found
