"""HTTP to others, guarded: only to listed origins, within limits of time and size, and never where a redirect leads.

OWASP, Server-Side Request Forgery Prevention:
https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as BodyTimeout

from referral_service.addresses import origin

CONNECT_SECONDS = 5.0
READ_SECONDS = 10.0
WHOLE_SECONDS = 20.0
"""From the first byte asked for to the last one read of the answer's body."""

MAX_BYTES = 64 * 1024
_CHUNK = 16 * 1024

logging.getLogger("urllib3").setLevel(logging.CRITICAL)  # it logs whole addresses, whose paths can hold anything


class NotAllowed(ValueError):
    """The address is at no origin that may be called; the message does not show it."""


class OutboundError(Exception):
    """No usable answer came. ``kind`` is one short word; nothing of the request or of the answer stands in it."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of any status, redirects among them; the body is whole."""

    status: int
    body: bytes


class _SystemTrust(HTTPAdapter):
    """Trusts the authorities that the machine trusts (and those in ``SSL_CERT_FILE``), as mail does."""

    def init_poolmanager(self, *positional: Any, **named: Any) -> None:
        super().init_poolmanager(*positional, **named, ssl_context=ssl.create_default_context())


class Outbound:
    """A session that calls ``allowed`` origins and no others."""

    def __init__(self, allowed: frozenset[str], max_bytes: int = MAX_BYTES) -> None:
        self._allowed = allowed
        self._max_bytes = max_bytes

    def check(self, address: str) -> None:
        """Raises :class:`NotAllowed`, also for what is no address."""
        try:
            found = origin(address)
        except ValueError as problem:
            raise NotAllowed("no http or https address") from problem
        if found not in self._allowed:
            raise NotAllowed("its scheme, host and port are not listed")

    def post(self, address: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Raises :class:`NotAllowed`, or :class:`OutboundError` when no whole answer came in time."""
        self.check(address)
        began = time.monotonic()
        try:
            with _session() as session:
                answer = session.post(
                    address,
                    data=body,
                    headers={"Accept-Encoding": "identity", **headers},
                    timeout=(CONNECT_SECONDS, READ_SECONDS),
                    allow_redirects=False,
                    stream=True,
                )
                return Reply(answer.status_code, self._body(answer, began))
        except (requests.Timeout, BodyTimeout) as problem:
            raise OutboundError("timeout") from problem
        except requests.exceptions.SSLError as problem:
            raise OutboundError("tls") from problem
        except (requests.RequestException, HTTPError, OSError) as problem:
            raise OutboundError("connection") from problem

    def _body(self, answer: requests.Response, began: float) -> bytes:
        """What was sent, as it was sent: nothing is unpacked, so that a small answer cannot become a large one."""
        read = bytearray()
        while chunk := answer.raw.read(_CHUNK, decode_content=False):
            read += chunk
            if len(read) > self._max_bytes:
                raise OutboundError("too-large")
            if time.monotonic() - began > WHOLE_SECONDS:
                raise OutboundError("timeout")
        return bytes(read)


def _session() -> requests.Session:
    """One a call: no cookie, log-in of a netrc file or proxy of the environment goes along."""
    session = requests.Session()
    session.trust_env = False
    session.mount("https://", _SystemTrust())
    return session
