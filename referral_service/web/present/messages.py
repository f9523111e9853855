"""What coordinators and the sender have said to each other, oldest first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import orjson

from referral_service.web.present.original import label
from referral_service.web.present.timeline import Event
from referral_service.web.present.words import Moment, Now

Row = Mapping[str, Any]
Resource = Mapping[str, Any]
_NOT_SAID = {"meta", "id", "text"}


@dataclass(frozen=True, slots=True)
class Message:
    """``about`` is what it was said with, ``texts`` the words; ``is_ours`` when the sender reads it."""

    at: Moment
    who: str
    is_ours: bool
    about: str
    texts: tuple[str, ...]


def messages(row: Row, events: Sequence[Event], versions: Sequence[tuple[str, str]], now: Now) -> list[Message]:
    """``versions`` are the referral's, oldest first: when each came, and its text."""
    found = [*_reasons(row, events), *_notes(row, events, now), *_updates(row, versions, now)]
    return sorted(found, key=lambda one: one.at.iso)


def _reasons(row: Row, events: Sequence[Event]) -> Iterator[Message]:
    """What was said with a reason stands there; everything else in a note."""
    for event in events:
        if event.why and event.said:
            yield Message(event.at, event.who, event.who != row["client"], f"{event.what}: {event.why}", (event.said,))


def _notes(row: Row, events: Sequence[Event], now: Now) -> Iterator[Message]:
    done = {(event.at.iso, event.said): event.what for event in events if event.action != "comment"}
    for note in orjson.loads(row["task"]).get("note", []):
        if "time" in note:
            who, at, text = str(note.get("authorString", "")), now.moment(note["time"]), str(note["text"])
            yield Message(at, who, who != row["client"], done.get((at.iso, text), ""), (text,))


def _updates(row: Row, versions: Sequence[tuple[str, str]], now: Now) -> Iterator[Message]:
    """Each update of the sender's: what it changed, and the notes that are new."""
    contents = [(at, orjson.loads(text)) for at, text in versions]
    for (_, before), (at, after) in pairwise(contents):
        changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        said = [label(name) for name in changed if name not in _NOT_SAID]
        known = _texts(before)
        if said:
            new = tuple(text for text in _texts(after) if text not in known)
            yield Message(now.moment(at), row["client"], False, f"Update of: {', '.join(said)}", new)


def _texts(request: Resource) -> list[str]:
    return [str(note.get("text", "")) for note in request.get("note", [])]
