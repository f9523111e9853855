"""Text that may stand in an address without anybody reading it there: encrypted under the site's secret key.

JSON Web Encryption, ``dir`` and ``A256GCM`` (https://www.rfc-editor.org/rfc/rfc7516). Every process of a site opens
what another one sealed. Where nobody is asked who they are there is no secret key, and the text is only out of sight.
"""

from __future__ import annotations

from hashlib import sha256

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

_HEADER = {"alg": "dir", "enc": "A256GCM"}
_PURPOSE = b"referral-service search\0"


def seal(secret_key: str, content: bytes) -> str:
    return jwe.encrypt_compact(_HEADER, content, _key(secret_key), algorithms=[*_HEADER.values()])


def unseal(secret_key: str, text: str) -> bytes | None:
    """What was sealed under the same key; None for anything else."""
    try:
        return jwe.decrypt_compact(text, _key(secret_key), algorithms=[*_HEADER.values()]).plaintext
    except (JoseError, ValueError):
        return None


def _key(secret_key: str) -> OctKey:
    """A key of its own beside that of cookies, made from the same secret."""
    return OctKey.import_key(sha256(_PURPOSE + secret_key.encode()).digest())
