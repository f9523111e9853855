"""Addresses of others: where one may be called, and where mail can go."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}
_MAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")


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
