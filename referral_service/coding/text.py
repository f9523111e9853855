"""A text as words in sentences, each word with its place in the original string.

Nothing is replaced before it is read, so that a span always slices back to what the sender wrote. One pass, one
regular expression without nested repetition: linear in the length of the text.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from referral_service.coding.concepts import APOSTROPHES

LOOKS_FORWARD, LOOKS_BACK = "?>", "<?"
"""A question mark before what it doubts ("?dystonia") and after it ("dystonia?")."""

_APOSTROPHE = rf"(?:[{APOSTROPHES}\u00ad]|&(?:apos|rsquo|shy|#39|#x27|#8217|#173);)"
"""Also the soft hyphen: neither is a letter of the word it stands in."""
_TOKEN = re.compile(
    rf"(?P<word>[^\W_]+(?:{_APOSTROPHE}[^\W_]+)*)|(?P<entity>&#?\w{{2,8}};)|(?P<tag></?[a-zA-Z][^<>]{{0,200}}>)"
    r"|\n\s*|\?+|[!.,;:()\[\]/+•*|\u2013\u2014-]"
)
_WORD = _TOKEN.groupindex["word"]
_INSIDE_WORD = re.compile(_APOSTROPHE)
_ABBREVIATIONS = frozenset(
    [
        "vs",
        "dr",
        "mr",
        "mrs",
        "ms",
        "st",
        "prof",
        "approx",
        "neg",
        "pos",
        "incl",
        "esp",
        "inc",
        "mat",
        "pat",
        "ref",
        "hx",
        "dx",
        "rx",
        "rt",
        "lt",
        "ca",
        "cf",
        "pt",
        "fh",
        "v",
    ]
)
_OPEN_ENDED = frozenset(
    [
        "and",
        "or",
        "nor",
        "of",
        "no",
        "not",
        "with",
        "without",
        "to",
        "for",
        "the",
        "a",
        "an",
        "possible",
        "probable",
        "suspected",
        "query",
        "from",
        "in",
    ]
)
_BLOCK_TAG = re.compile(r"</?(?:br|p|div|li|ul|ol|tr|td|th|table|h\d)\b", re.IGNORECASE)
_DASHES = "-\u2013\u2014"
_SIGNS = 8
"""More signs than this between two words say nothing more."""
_JOINS = {"[": "(", "]": ")"}
_NUMBERS = frozenset(
    [
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "few",
        "several",
        "couple",
    ]
)


class Word(NamedTuple):
    """One word, lower case and without apostrophes; ``before`` are the signs between it and the last one."""

    text: str
    start: int
    end: int
    before: str


Sentence = list[Word]
_new = tuple.__new__
"""Makes a word without the steps that a NamedTuple's own way takes, which are a tenth of all reading."""


def sentences(text: str) -> list[Sentence]:
    """The words of ``text``, sentence by sentence; offsets count code points of ``text``."""
    return _Splitter(text).run()


def is_number(word: str) -> bool:
    return word.isdigit() or word in _NUMBERS


def is_year(word: str) -> bool:
    return len(word) == 4 and word.isdigit() and word[:2] in ("19", "20")


def _lower(text: str) -> str:
    """Lower case of the same length, so that offsets hold (a few letters grow when lowered)."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(low if len(low := letter.lower()) == 1 else letter for letter in text)


def _without_markup(text: str) -> str:
    """Comments, styles and scripts of HTML blanked out, so that offsets hold."""
    for opens, closes in (("<!--", "-->"), ("<style", "</style>"), ("<script", "</script>")):
        start = text.find(opens)
        while start >= 0:
            end = text.find(closes, start)
            if end < 0:
                break
            end += len(closes)
            text = text[:start] + " " * (end - start) + text[end:]
            start = text.find(opens, end)
    return text


class _Splitter:
    def __init__(self, text: str) -> None:
        self.text = text
        self.lowered = _without_markup(_lower(text))
        self.done: list[Sentence] = []
        self.sentence: Sentence = []
        self.before = ""

    def run(self) -> list[Sentence]:
        for token in _TOKEN.finditer(self.lowered):
            start, end = token.span()
            found = token[0]
            if token.lastindex == _WORD:
                word = found if found.isalnum() else _INSIDE_WORD.sub("", found)
                self.sentence.append(_new(Word, (word, start, end, self.before)))
                self.before = ""
            else:
                self.sign(found, start, end)
        self.finish()
        return self.done

    def finish(self) -> None:
        if self.sentence:
            self.done.append(self.sentence)
            self.sentence = []
        self.before = ""

    def sign(self, sign: str, start: int, end: int) -> None:
        first = sign[0]
        if first == "?":
            self.question(start, end)
        elif first == ".":
            self.stop(start, end)
        elif first == "\n":
            self.line(sign, end)
        elif first in "!;•|" or (first == "*" and self.spaced(start, end)) or _BLOCK_TAG.match(sign):
            self.finish()
        elif first in _DASHES:
            self.between("-" if self.spaced(start, end) else "")
        elif first in ",:()[]/":
            self.between(_JOINS.get(first, first))

    def between(self, sign: str) -> None:
        if len(self.before) < _SIGNS:
            self.before += sign

    def spaced(self, start: int, end: int) -> bool:
        return self.around(start - 1).isspace() or self.around(end).isspace()

    def around(self, at: int) -> str:
        return self.text[at] if 0 <= at < len(self.text) else " "

    def question(self, start: int, end: int) -> None:
        """A question mark that follows a space or a sign and precedes a word doubts what comes."""
        follows = self.around(end) if not self.around(end).isspace() else self.around(end + 1)
        opens = not self.around(start - 1).isalnum() and self.around(start - 1) != ")" and follows.isalnum()
        if opens or self.sentence:
            self.sentence.append(Word(LOOKS_FORWARD if opens else LOOKS_BACK, start, end, self.before))
            self.before = ""
        if not opens:
            self.finish()

    def stop(self, start: int, end: int) -> None:
        """A full stop, unless it stands in a number, an initial or an abbreviation."""
        after = self.around(end)
        last = self.sentence[-1].text if self.sentence else ""
        if after.isspace() or after in "\"')]<&":
            if last not in _ABBREVIATIONS and not (len(last) == 1 and last.isalpha()):
                self.finish()
        elif after.isupper() and self.around(start - 1).islower():
            self.finish()

    def line(self, sign: str, end: int) -> None:
        """A new line ends a sentence unless the line was only wrapped."""
        open_ended = "," in self.before or (bool(self.sentence) and self.sentence[-1].text in _OPEN_ENDED)
        if sign.count("\n") > 1 or not (open_ended or self.around(end).islower()):
            self.finish()
