"""No row of the trigger table is there for nothing: without it, some sentence made for it is read otherwise.

A row that changes no such sentence says what other rows say already, and one that nobody would miss can be lost unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import pytest

from referral_service.coding.assertion import mentions_in
from referral_service.coding.concepts import NUMBER, words_of
from referral_service.coding.lexicon import Lexicon, Node
from referral_service.coding.reading import is_surely_denied
from referral_service.coding.tables import table
from referral_service.coding.text import LOOKS_BACK, LOOKS_FORWARD, is_number, sentences
from referral_service.fhir.terminology import vocabulary

FILLERS = ("clear", "serious", "marked", "true", "worsening", "classical", "overt", "gross", "frank")
"""Words that mean nothing here, to try how far a trigger reaches."""


def _far(before: str, after: str) -> list[str]:
    return [" ".join((before, *FILLERS[:count], after)) for count in range(len(FILLERS) + 1)]


SENTENCES: Mapping[str, Callable[[str], list[str]]] = {
    "before": lambda p: [
        *_far(p, "dystonia"), f"tremor, {p} dystonia", f"{p} dystonia, tremor", f"no tremor {p} dystonia",
        f"possible tremor, {p} dystonia", f"history of {p} dystonia", f"{p} tremor, dystonia",
        f"suspected {p} dystonia", f"possible {p} dystonia", f"{p} tremor or dystonia", f"{p} has dystonia",
        f"{p}: dystonia", f"mother {p} dystonia", f"{p}dystonia", f"dystonia, {p} dystonia",
        f"in the differential {p} dystonia", f"{p} haloperidol", f"diagnosed with {p} dystonia",
    ],
    "after": lambda p: [
        *_far("dystonia", p), f"dystonia, {p}", f"dystonia of the neck {p}", f"dystonia in the left arm {p}",
        f"dystonia and tremor {p}", f"tremor or dystonia {p}", f"dystonia ({p})", f"dystonia - {p}",
        f"dystonia, tremor {p}", f"dystonia which was {p}", f"dystonia that {p}", f"dystonia has been {p}",
        f"mother has dystonia {p}", f"the diagnosis of dystonia {p}", f"the label dystonia, {p}",
        f"no tremor, dystonia {p}",
    ],
    "pseudo": lambda p: [
        f"{p} dystonia", f"dystonia {p}", f"dystonia, {p}", f"dystonia with {p}", f"{p} of dystonia",
        f"{p} to dystonia", f"{p} the dystonia", f"dystonia in the {p}", f"{p}, dystonia", f"the {p} has dystonia",
        f"{p} has dystonia", f"{p}: dystonia", f"{p}. dystonia", f"dystonia and {p} and tremor",
        f"{p} from dystonia", f"{p} in dystonia",
        f"dystonia - {p}", f"dystonia {p} tremor", f"{p} tremor and dystonia", f"mother {p} with dystonia",
    ],
    "relative": lambda p: [f"{p} has dystonia", f"dystonia in her {p}", f"dystonia ({p})", f"{p} dystonia"],
    "informant": lambda p: [
        f"mother {p} dystonia", f"mother also {p} dystonia", f"parents {p} dystonia",
        f"mother {p} that he has dystonia", f"mother {p} about dystonia",
    ],
    "accompanying": lambda p: [
        f"{p} mother dystonia", f"{p} mother with dystonia", f"{p} mother has dystonia", f"{p} dystonia mother",
        f"{p} mother in dystonia", f"{p} mother and father dystonia",
    ],
    "self": lambda p: [
        f"mother has tremor and {p} dystonia", f"no tremor {p} dystonia", f"mother has tremor but {p} has dystonia",
        f"dystonia is common in {p} with tremor", f"dystonia {p} ruled out", f"possible tremor {p} dystonia",
    ],
    "stop": lambda p: [
        f"no tremor {p} dystonia", f"possible tremor {p} dystonia", f"dystonia {p} resolved",
        f"dystonia {p} tremor excluded", f"no tremor at all {p} dystonia", f"previous tremor {p} dystonia",
        f"dystonia {p} pain unlikely",
    ],
    "stop-ahead": lambda p: [
        f"no tremor {p} dystonia", f"possible tremor {p} dystonia", f"previous tremor {p} dystonia",
    ],
    "recurs": lambda p: [f"dystonia settled, {p}", f"dystonia resolved {p}"],
    "current": lambda p: [
        f"history of dystonia {p}", f"{p} history of dystonia", f"{p} dystonia history of dystonia",
        f"history of dystonia, {p}", f"pmh dystonia {p}", f"dystonia years ago {p}",
    ],
    "history": lambda p: [f"dystonia {p}", f"{p} tremor, dystonia", f"dystonia diagnosed {p}", *_far(p, "dystonia")],
    "join": lambda p: [
        f"dystonia {p} tremor ruled out", f"no tremor, {p} dystonia or chorea", f"dystonia {p} spasm excluded",
        f"no tremor, {p} dystonia", f"dystonia {p} neck excluded", f"dystonia {p} dystonia excluded",
        f"no fever, {p} dystonia", f"no fever, cough, {p} dystonia",
    ],
    "question": lambda p: [
        f"{p} this be dystonia?", f"{p} it dystonia?", f"{p} the movements we notice here perhaps of a dystonia?",
        f"{p} we noticing here in this young man with pain a dystonia?",
    ],
    "answer": lambda p: [f"dystonia: {p}", f"dystonia - {p}", f"dystonia, {p}", f"mother has dystonia: {p}"],
    "of-whom": lambda p: [f"sister {p} dystonia"],
    "general": lambda p: [f"{p} dystonia", f"dystonia {p} wilsons"],
}  # fmt: skip


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    """One of our own, since the tests take it apart."""
    return Lexicon(vocabulary())


def read(lexicon: Lexicon, text: str) -> list[tuple[int, str, bool, bool]]:
    said = (m for s in sentences(text) for m in mentions_in(s, lexicon.matches(s), 0))
    return [(m.start, m.assertion, m.clear, is_surely_denied(m.rule)) for m in said]


@contextmanager
def without(lexicon: Lexicon, row: Mapping[str, str]) -> Iterator[None]:
    node = _node(lexicon, row["phrase"])
    whole = node.entry
    assert whole is not None
    left = tuple(t for t in whole.triggers if (t.direction, t.assertion) != (row["direction"], row["assertion"]))
    entry = replace(whole, triggers=left, directions=frozenset(t.direction for t in left))
    node.entry = entry if left or entry.is_item else None
    yield
    node.entry = whole


def _node(lexicon: Lexicon, phrase: str) -> Node:
    node = lexicon.root
    for word in (phrase,) if phrase in (LOOKS_FORWARD, LOOKS_BACK) else _words(phrase):
        node = node.below[NUMBER if is_number(word) else word]
    return node


def _words(phrase: str) -> list[str]:
    parts = phrase.replace("?", f" {LOOKS_FORWARD} ").split()
    return [word for part in parts for word in ((part,) if part == LOOKS_FORWARD else words_of(part))]


def _written(phrase: str) -> str:
    return phrase.replace(LOOKS_FORWARD, "?").replace(LOOKS_BACK, "?").replace("#", "3").replace("yyyy", "2009")


def test_every_row_is_missed_by_some_sentence(lexicon: Lexicon) -> None:
    missed_by_none = []
    for row in table("triggers"):
        texts = SENTENCES[row["direction"]](_written(row["phrase"]))
        whole = [read(lexicon, text) for text in texts]
        with without(lexicon, row):
            if whole == [read(lexicon, text) for text in texts]:
                missed_by_none.append((row["phrase"], row["direction"]))
    assert missed_by_none == []
