"""The tables of ``coding/data``: tab-separated, a header, a source in every row. Read once."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files
from io import StringIO


@cache
def table(name: str) -> tuple[dict[str, str], ...]:
    """The rows of ``data/<name>.tsv``; lines that begin with # are remarks."""
    text = files("referral_service.coding").joinpath("data", f"{name}.tsv").read_text("utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    return tuple(csv.DictReader(StringIO(lines), delimiter="\t", quoting=csv.QUOTE_NONE))
