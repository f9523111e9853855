"""How long reading takes: microseconds of processor time for a letter of 60 words, one of 1,000, and 1 MiB of text.

Run: python -m tests.benchmarks.coding

The last column is the time of one word in proportion to that of the short letter: about 1 where the time grows with the
length alone. The texts of 1 MiB are one part over and over, each chosen to be slow in a way of its own.
"""

from __future__ import annotations

import random
import string
import time

from referral_service.coding import assess
from referral_service.coding.text import sentences
from referral_service.fhir.terminology import vocabulary
from referral_service.policy import load_policy
from referral_service.referral import Fact, Place

LETTER = (
    "Thank you for seeing this 54 year old teacher with a two year history of her head pulling to the left, worse when "
    "walking, with neck pain and a jerky head tremor. Touching her chin helps. No family history of dystonia. "
    "MRI brain normal. Not on any antipsychotics. I suspect cervical dystonia and would be grateful for assessment for "
    "botulinum."
)
MIB = 1_048_576
PARTS = (
    ("letters", LETTER + " "),
    ("only findings", "dystonia "),
    ("findings and commas", ", dystonia"),
    ("negations and findings", "no dystonia, "),
    ("negations only", "no "),
    ("ambiguous abbreviations", "CD "),
    ("drugs, sites and findings", "haloperidol neck dystonia after "),
    ("slips of the keys", "dystoniaz qwertyui "),
    ("relatives", "mother in "),
    ("open tags", "<a"),
    ("brackets", "("),
    ("question marks", "? "),
)


def main() -> None:
    short, long = LETTER, " ".join([LETTER] * 17)
    per_word = _seconds(short, 300) / _words(short)
    print(f"{'text':32}{'words':>9}{'ms':>10}{'us a word':>11}{'to short':>10}")
    _print("60 words", short, 300, per_word)
    _print("1,000 words", long, 20, per_word)
    for name, part in PARTS:
        _print(f"1 MiB of {name}", part * (MIB // len(part)), 1, per_word)
    _print("1 MiB of unknown words", _noise(), 1, per_word)


def _print(name: str, text: str, times: int, per_word: float) -> None:
    seconds, words = _seconds(text, times), _words(text)
    each = f"{seconds / words * 1e6:>11.2f}{seconds / words / per_word:>10.2f}" if words else f"{'-':>11}{'-':>10}"
    print(f"{name:32}{words:>9}{seconds * 1e3:>10.2f}{each}")


def _seconds(text: str, times: int) -> float:
    """The best of three, in processor time: other work on the machine does not count."""
    facts, policy = [Fact("text", "text", Place.REASON, text=text)], load_policy()
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        for _ in range(times):
            assess(facts, vocabulary(), policy, None)
        best = min(best, (time.process_time() - start) / times)
    return best


def _words(text: str) -> int:
    """As they are read; a question mark counts as a word."""
    return sum(len(sentence) for sentence in sentences(text))


def _noise() -> str:
    letters = random.Random(1)
    return " ".join("".join(letters.choices(string.ascii_lowercase, k=9)) for _ in range(MIB // 10))


if __name__ == "__main__":
    main()
