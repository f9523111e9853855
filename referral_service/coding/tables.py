"""The tables of ``coding/data``: tab-separated, a header, a source in every row."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import dropwhile


@cache
def table(name: str) -> tuple[dict[str, str], ...]:
    """The rows of ``data/<name>.tsv``, read once. Remarks (#) stand above the header; below it # is any number."""
    return tuple(rows_of(name))


def rows_of(name: str) -> Iterator[dict[str, str]]:
    """The same, one after the other and read each time: whoever keeps a column of many rows keeps no more of them."""
    text = files("referral_service.coding").joinpath("data", f"{name}.tsv").read_text("utf-8")
    lines = dropwhile(lambda line: line.startswith("#"), text.splitlines())
    yield from csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
