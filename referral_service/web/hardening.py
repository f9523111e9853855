"""The headers that every answer carries: no script, style or frame from elsewhere, nothing of a patient in caches.

OWASP Secure Headers, https://owasp.org/www-project-secure-headers/. They are added to the answer as it leaves, for all
but one are always the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

Headers = list[tuple[str, str]]
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_NO_DEVICES = ", ".join(
    f"{name}=()" for name in ("camera", "display-capture", "geolocation", "microphone", "payment", "usb")
)
"""What no page of ours asks a browser for."""
_ALWAYS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "media-src 'self'; connect-src 'self'; form-action 'self'; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # Not "no-referrer", with which a browser sends its forms with "Origin: null".
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": _NO_DEVICES,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_BY_HTTPS = {"Strict-Transport-Security": "max-age=31536000"}


class Hardened:
    """A WSGI application whose answers carry them, each where the answer has none of its own."""

    def __init__(self, application: Wsgi, public_url: str) -> None:
        self._application = application
        added = _ALWAYS | (_BY_HTTPS if public_url.startswith("https:") else {})
        self._added = [(name.lower(), (name, value)) for name, value in added.items()]

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        def begin(status: str, headers: Headers, problem: Any = None) -> Any:
            own = {name.lower() for name, _ in headers}
            return start(status, [*headers, *(header for name, header in self._added if name not in own)], problem)

        return self._application(environ, begin)
