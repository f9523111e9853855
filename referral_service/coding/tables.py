"""The tables of ``coding/data``: tab-separated, a header, a source in every row. Read once."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files
from itertools import dropwhile


@cache
def table(name: str) -> tuple[dict[str, str], ...]:
    """The rows of ``data/<name>.tsv``. Remarks (#) stand above the header; below it # is any number."""
    text = files("referral_service.coding").joinpath("data", f"{name}.tsv").read_text("utf-8")
    lines = dropwhile(lambda line: line.startswith("#"), text.splitlines())
    return tuple(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
