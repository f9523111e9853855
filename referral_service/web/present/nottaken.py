"""What was refused or rejected: why, in words, and the text that came."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from referral_service.fhir.package import definitions
from referral_service.web.present.decision import issues
from referral_service.web.present.indent import indented
from referral_service.web.present.words import Moment, Now

Row = Mapping[str, Any]
LONGEST_SHOWN = 200_000

STATES = {"refused": "Refused", "rejected": "Rejected"}
ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
MEANINGS = {
    "refused": "It could not be read as a valid referral.",
    "rejected": "It was readable, but is not one for this service or not to be acted on.",
}


@dataclass(frozen=True, slots=True)
class NotTaken:
    received_id: str
    position: int
    state: str
    state_words: str
    meaning: str
    red_flag: bool
    at: Moment
    waited: str
    client: str
    request_id: str
    door: str
    placer: str
    referral_id: str
    issues: list[Mapping[str, str]]

    @property
    def reasons(self) -> list[Mapping[str, str]]:
        """The issues that say why; the others are remarks."""
        return [one for one in self.issues if one["severity"] in ("fatal", "error")] or self.issues

    @property
    def is_taken_in(self) -> bool:
        return bool(self.referral_id)


def not_taken(row: Row, now: Now) -> NotTaken:
    state = row["taken_from"] or row["state"]
    return NotTaken(
        received_id=row["received_id"],
        position=row["position"] + 1,
        state=state,
        state_words=STATES[state],
        meaning=MEANINGS[state],
        red_flag=bool(row["red_flag"]),
        at=now.moment(row["at"]),
        waited=now.waited(row["at"]),
        client=row["client"],
        request_id=row["request_id"],
        door=row["door"],
        placer=(row["placer"] or "").rpartition("|")[2],
        referral_id=row["referral_id"] or "",
        issues=issues(orjson.loads(row["outcome"])),
    )


def rule_names() -> dict[str, str]:
    """What each of our issue codes is called."""
    return {one["code"]: one["display"] for one in definitions()["CodeSystem"]["issue"]["concept"]}


def holds(body: bytes, words: str) -> bool:
    """Whether a text has each of the words somewhere, in any case; JSON's escapes are read as what they stand for."""
    text = ESCAPED.sub(lambda match: chr(int(match[1], 16)), body.decode("utf-8", errors="replace")).casefold()
    return all(word in text for word in words.casefold().split())


@dataclass(frozen=True, slots=True)
class Text:
    """A received text for reading: laid out when it is JSON, as it came when not, its beginning when it is long."""

    shown: str
    is_json: bool
    is_cut: bool
    size: int


def text_of(body: bytes) -> Text:
    whole = body.decode("utf-8", errors="replace")
    if len(whole) > LONGEST_SHOWN:
        return Text(whole[:LONGEST_SHOWN], is_json=False, is_cut=True, size=len(body))
    laid_out = indented(whole)
    return Text(laid_out if laid_out is not None else whole, laid_out is not None, is_cut=False, size=len(body))
