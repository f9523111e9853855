"""Why a record could not be had from an EHR: one short word each, and what people are told of it."""

from __future__ import annotations

from collections.abc import Mapping

WORDS: Mapping[str, str] = {
    "timeout": "it did not answer in time",
    "connection": "it could not be reached",
    "tls": "its certificate is not trusted here",
    "not-allowed": "it lies at an address that may not be called from here",
    "redirect": "it pointed to another address, which is not followed",
    "server-error": "it answered that it has failed",
    "throttled": "it asked to be left alone for a while",
    "refused": "it refused the request",
    "not-let-in": "it does not let this service read the record",
    "login-failed": "this service could not log in there",
    "no-key": "this service has no key to log in there with",
    "not-found": "it does not know the record",
    "gone": "it says that the record was removed",
    "not-fhir": "it answered with something that is no FHIR resource",
    "too-large": "its answer was too large",
    "wrong-resource": "it answered with another record than the one asked for, which was not taken",
    "another-patient": "the record is of another patient, and was not taken",
    "not-valid": "its answer is not valid FHIR R4, and was not taken",
    "wrong-type": "what it answered with is no file of a type that is taken here, and was not taken",
    "no-file": "the file is empty there",
    "file-too-large": "the file is larger than 20 MiB, and was not taken",
    "not-understood": "its answer could not be worked on, and was not taken",
    "resting": "it has failed several times in a row, and is left alone for a moment",
    "crowded": "it is being asked for other records just now",
}

FOR_GOOD = frozenset(
    {
        *("gone", "too-large", "wrong-resource", "another-patient", "not-valid"),
        *("wrong-type", "no-file", "file-too-large"),
    }
)
"""Asking again by itself would bring the same."""

NOT_ASKED = frozenset({"resting", "crowded"})

_ANSWERED = frozenset({"refused", "not-let-in", "not-found", *FOR_GOOD}) - {"too-large"}


class NotFetched(Exception):
    """``kind`` is one of :data:`WORDS`; ``rest`` is for how many seconds the EHR asked to be left alone."""

    def __init__(self, kind: str, rest: float | None = None) -> None:
        super().__init__(kind)
        self.kind = kind
        self.rest = rest

    @property
    def is_failure(self) -> bool:
        """Whether the EHR failed; else it answered, and the answer was no."""
        return self.kind not in _ANSWERED
