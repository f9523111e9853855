"""Public keys of systems: JSON Web Key Sets, and the one key in a set that a signature is checked with.

https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html#registering-a-client-communicating-public-keys
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from referral_service.access.objects import Object, read_object

Algorithms = Mapping[str, tuple[str, str | None]]
"""Name of an algorithm -> the type of key that it takes, and the curve when that type has curves."""

SMART: Algorithms = {"RS384": ("RSA", None), "ES384": ("EC", "P-384")}
RSA_BITS = (2048, 8192)
MAX_KID = 256
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class KeySetError(ValueError):
    """A key set cannot be used; the message says which key by its place, and shows nothing of it."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key with the algorithms that it may be used for; ``material`` is as the JOSE library holds it."""

    kid: str
    algorithms: frozenset[str]
    material: RSAKey | ECKey


def read_key_set(text: str | bytes, algorithms: Algorithms = SMART) -> list[PublicKey]:
    """Every key of a set, which is to be sound as a whole. Raises :class:`KeySetError`."""
    keys = [_key(place, entry, algorithms) for place, entry in enumerate(_entries(text), start=1)]
    if not keys:
        raise KeySetError("the key set is empty")
    if len({key.kid for key in keys}) != len(keys):
        raise KeySetError("two keys have one kid")
    return keys


def usable_keys(text: str | bytes, algorithms: Algorithms = SMART) -> list[PublicKey]:
    """The keys of a set that somebody else keeps, and which may hold others too: those of no use here are left out.

    Raises :class:`KeySetError` for what is no key set.
    """
    found = []
    for place, entry in enumerate(_entries(text), start=1):
        try:
            found.append(_key(place, entry, algorithms))
        except KeySetError:  # a key for something else, as for encryption
            continue
    return found


def the_one(keys: Iterable[PublicKey], kid: str, algorithm: str) -> PublicKey | None:
    """The single key of that ``kid`` which fits the algorithm; None when there is none, or more than one."""
    fitting = [key for key in keys if key.kid == kid and algorithm in key.algorithms]
    return fitting[0] if len(fitting) == 1 else None


def _entries(text: str | bytes) -> list[Any]:
    try:
        entries = read_object(text).get("keys")
    except ValueError as problem:
        raise KeySetError("this is no JSON Web Key Set") from problem
    if not isinstance(entries, list):
        raise KeySetError("this is no JSON Web Key Set")
    return entries


def _key(place: int, entry: Any, algorithms: Algorithms) -> PublicKey:
    if not isinstance(entry, dict):
        raise KeySetError(f"key {place} is no object")
    if _PRIVATE & entry.keys():
        raise KeySetError(f"key {place} holds private parts; send the public key only")
    kid = entry.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID or not kid.isprintable():
        raise KeySetError(f"key {place} has no kid")
    if entry.get("use", "sig") != "sig" or "verify" not in _operations(entry):
        raise KeySetError(f"key {place} is not for signatures")
    fitting = frozenset(name for name in algorithms if _fits(entry, name, algorithms))
    if not fitting:
        raise KeySetError(f"key {place} fits none of {', '.join(algorithms)}")
    return PublicKey(kid, fitting, _material(place, entry))


def _operations(entry: Object) -> list[Any]:
    listed = entry.get("key_ops", ["verify"])
    return listed if isinstance(listed, list) else []


def _fits(entry: Object, algorithm: str, algorithms: Algorithms) -> bool:
    kind, curve = algorithms[algorithm]
    return entry.get("kty") == kind and entry.get("alg", algorithm) == algorithm and curve in (None, entry.get("crv"))


def _material(place: int, entry: Object) -> RSAKey | ECKey:
    try:
        if entry["kty"] == "EC":
            curve_key = ECKey.import_key(_bare(entry, "crv", "x", "y"))
            curve_key.public_key  # noqa: B018 - the point is looked at here, and refused when it is not on the curve
            return curve_key
        bits = int.from_bytes(urlsafe_b64decode(entry["n"] + "==")).bit_length()
        if not RSA_BITS[0] <= bits <= RSA_BITS[1]:
            raise KeySetError(f"key {place} has {bits} bits, not {RSA_BITS[0]} to {RSA_BITS[1]}")
        rsa_key = RSAKey.import_key(_bare(entry, "n", "e"))
        rsa_key.public_key  # noqa: B018 - likewise
        return rsa_key
    except KeySetError:
        raise
    except (JoseError, ValueError, TypeError, KeyError) as problem:
        raise KeySetError(f"key {place} cannot be read") from problem


def _bare(entry: Object, *names: str) -> dict[str, str | list[str]]:
    """What the key is made of, and nothing else that could have a meaning of its own."""
    if not all(isinstance(entry[name], str) for name in names):
        raise ValueError("no text")
    return {name: entry[name] for name in ("kty", *names)}
