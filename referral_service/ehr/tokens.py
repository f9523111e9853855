"""Access tokens of EHRs: SMART Backend Services, as a client.

https://hl7.org/fhir/smart-app-launch/backend-services.html#request-access-token
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any
from urllib.parse import urlencode

from referral_service.ehr.faults import NotFetched
from referral_service.ehr.known import Ehr
from referral_service.outbound import Outbound, Reply, rest_of

Sign = Callable[[str, str], str]
"""(our id there, address of its token endpoint) -> an assertion, good for one use."""

KEPT_SECONDS = 60.0
"""A token whose server does not say for how long it is good."""

EARLIER_SECONDS = 30.0
"""How long before its end a token is no longer used."""

Scopes = tuple[str, ...]
"""What is asked for, in each way of writing it, the first one first."""

_SMART_1 = {"r": "read", "c": "write", "u": "write"}
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_BEARER = re.compile(r"[A-Za-z0-9._~+/-]{1,16384}=*", re.ASCII)


def scopes(rights: Mapping[str, str]) -> Scopes:
    """One right for each type (``r``, ``c`` or ``u``) as SMART 2 writes it, and as SMART 1 did."""
    in_order = sorted(rights.items())
    second = " ".join(f"system/{kind}.{right}" for kind, right in in_order)
    return second, " ".join(f"system/{kind}.{_SMART_1[right]}" for kind, right in in_order)


class Tokens:
    """The tokens of one process, in memory only. ``clock`` is monotonic, in seconds."""

    def __init__(self, sign: Sign | None, clock: Callable[[], float]) -> None:
        self._sign = sign
        self._clock = clock
        self._lock = Lock()
        self._held: dict[tuple[Ehr, Scopes], tuple[str, float]] = {}

    def of(self, ehr: Ehr, wanted: Scopes, outbound: Outbound, left: Callable[[], float]) -> str | None:
        """The token for an EHR, None where nobody has to log in. Raises :class:`NotFetched` or what outbound raises."""
        if ehr.token_url is None:
            return None
        with self._lock:
            token, until = self._held.get((ehr, wanted), ("", float("-inf")))
        if self._clock() < until:
            return token
        asked_at = self._clock()
        token, seconds = self._ask(ehr, ehr.token_url, wanted, outbound, left)
        with self._lock:
            self._held[ehr, wanted] = (token, asked_at + max(seconds - EARLIER_SECONDS, seconds / 2))
        return token

    def drop(self, ehr: Ehr, wanted: Scopes, token: str) -> None:
        """It is no longer good, whatever was said of it."""
        with self._lock:
            if self._held.get((ehr, wanted), ("",))[0] == token:
                del self._held[ehr, wanted]

    def _ask(
        self, ehr: Ehr, token_url: str, wanted: Scopes, outbound: Outbound, left: Callable[[], float]
    ) -> tuple[str, float]:
        """By the first way of writing what is wanted, and by the next where that one is not known."""
        if self._sign is None or ehr.client_id is None:
            raise NotFetched("no-key")
        for scope in wanted:
            form = {
                "grant_type": "client_credentials",
                "scope": scope,
                "client_assertion_type": _ASSERTION_TYPE,
                "client_assertion": self._sign(ehr.client_id, token_url),
            }
            headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
            reply = outbound.post(token_url, urlencode(form).encode(), headers, left())
            if reply.status != 400 or _object(reply).get("error") != "invalid_scope":
                break
        return _token(reply)


def _token(reply: Reply) -> tuple[str, float]:
    """The token and for how many seconds it is good."""
    if reply.status >= 500 or reply.status == 429:
        raise NotFetched("server-error" if reply.status >= 500 else "throttled", rest_of(reply))
    said = _object(reply)
    token, seconds = said.get("access_token"), said.get("expires_in", KEPT_SECONDS)
    is_bearer = isinstance(said.get("token_type"), str) and said["token_type"].lower() == "bearer"
    if reply.status != 200 or not is_bearer or not isinstance(token, str) or not _BEARER.fullmatch(token):
        raise NotFetched("login-failed")
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds < 10**6
    return token, float(seconds) if is_number else KEPT_SECONDS


def _object(reply: Reply) -> dict[str, Any]:
    try:
        found = json.loads(reply.body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
