"""What a file is by its content, whatever it is said to be."""

from __future__ import annotations

import re
from collections.abc import Collection

_BEGINNINGS = {
    b"%PDF-": "application/pdf",
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n": "image/png",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
_MP4_BRANDS = (b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"M4V ", b"MSNV", b"dash")
"""https://www.rfc-editor.org/rfc/rfc4337 and https://mp4ra.org/registered-types/brands"""

SHOWN = frozenset({"application/pdf", "image/jpeg", "image/png", "image/gif", "video/mp4"})
"""What a browser shows without running anything of it in our name. HTML and SVG are not among them."""


def media_type(data: bytes) -> str:
    """Empty when it is none of what we know."""
    for beginning, kind in _BEGINNINGS.items():
        if data.startswith(beginning):
            return kind
    if data[4:8] == b"ftyp" and data[8:12] in _MP4_BRANDS:
        return "video/mp4"
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return "text/plain" if text.strip() and "\0" not in text else ""


_CHARSET = re.compile(r";\s*charset=\"?([A-Za-z0-9_-]{1,40})\"?", re.ASCII | re.IGNORECASE)
_UNSAID = frozenset({"", "application/octet-stream", "binary/octet-stream"})


def taken_as(data: bytes, stated: str, expected: str, allowed: Collection[str]) -> str | None:
    """The media type that a file counts as which another server gave out; None when it is none of ``allowed``.

    ``stated`` is what that server says, and ``expected`` what was said of it before, where the server says nothing. The
    bytes have to show the same. Text in another encoding than UTF-8 shows nothing, and is taken at its word.
    """
    said = stated if bare(stated) not in _UNSAID else expected
    shows = media_type(data)
    kind = bare(said) or shows
    is_text = kind == "text/plain" and shows in ("", "text/plain") and b"\0" not in data
    if kind not in allowed or not (is_text or shows == kind):
        return None
    charset = _CHARSET.search(said) if is_text else None
    return f"{kind}; charset={charset[1].lower()}" if charset else kind


def bare(media_type: object) -> str:
    """A media type without its parameters."""
    return str(media_type or "").partition(";")[0].strip().lower()
