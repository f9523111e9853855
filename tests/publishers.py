"""Those who publish their public keys: an https server, with a certificate that the process trusts."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trustme

from tests.receivers import Receiver, status
from tests.systems import key_set


class Publisher(Receiver):
    """An https server of a system that publishes its keys."""

    @property
    def origin(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        return f"{self.origin}/jwks.json"

    def publish(self, *keys: dict[str, Any], **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answer = status(200, key_set(*keys).encode(), **named)

    @contextmanager
    def trusted(self, trust: Path) -> Iterator[None]:
        """Listens for as long as the block runs. ``trust`` is the file in which its authority is written."""
        authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        authority.cert_pem.write_to_path(str(trust))
        with self.open(context):
            yield
