"""One registered EHR, and which of its records a reference leads to."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from referral_service.addresses import origin
from referral_service.fhir.bundle import literal


@dataclass(frozen=True, slots=True)
class Wanted:
    """A record that a referral points at. ``full_url`` is its name as the sender's reference means it.

    It is a name only: what is called is made anew from the registered base. ``about`` is the id there of the patient
    whose record it is to be, where that is known.
    """

    type: str
    id: str
    full_url: str
    about: str | None = None


@dataclass(frozen=True, slots=True)
class Ehr:
    """Where a client's records lie. ``base`` has no slash at its end; ``token_url`` and ``client_id`` are None where
    nobody has to log in.
    """

    client: str
    base: str
    token_url: str | None = None
    client_id: str | None = None

    @property
    def host(self) -> str:
        """As people are told of it, and logs."""
        return urlsplit(self.base).netloc

    def address(self, wanted: Wanted) -> str:
        return f"{self.base}/{wanted.type}/{wanted.id}"

    def record(self, reference: object, home: str | None = None) -> Wanted | None:
        """What a reference leads to at this EHR; None when it leads anywhere else.

        A relative one is meant at the base of ``home``, the fullUrl of the resource that it stands in, and at this
        EHR when that has none (https://hl7.org/fhir/R4/bundle.html#references).
        """
        parts, around = literal(reference), literal(home)
        if parts is None or parts.id.strip(".") == "":  # dots alone would be taken as steps of a path
            return None
        base = parts.base or (around.base if around is not None else None) or self.base
        if not is_same_base(base, self.base):
            return None
        return Wanted(parts.type, parts.id, f"{base}/{parts.relative}")


def is_same_base(one: str, other: str) -> bool:
    """The same scheme, host, port and path, and nothing but these."""
    try:
        return _bare(one) == _bare(other)
    except ValueError:
        return False


def _bare(base: str) -> tuple[str, str]:
    parts = urlsplit(base)
    if "?" in base or "#" in base or not base.isprintable():
        raise ValueError("more than a base")
    return origin(base), parts.path
