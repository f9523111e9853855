"""The two engines on which the benchmarks run: an SQLite file, and a PostgreSQL server of the benchmark's own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import own_postgres


@contextmanager
def postgres() -> Iterator[str]:
    """The address of an empty database."""
    with tempfile.TemporaryDirectory() as folder, own_postgres(Path(folder)) as url:
        yield url


def engines() -> Iterator[tuple[str, str | None]]:
    """The name of each engine and the address of its database; an SQLite file is whoever asks to choose."""
    yield "SQLite", None
    with postgres() as url:
        yield "PostgreSQL", url
