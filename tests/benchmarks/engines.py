"""The two engines on which the benchmarks run: an SQLite file, and a PostgreSQL server of the benchmark's own."""

from __future__ import annotations

from collections.abc import Iterator

from tests.conftest import own_postgres


def engines() -> Iterator[tuple[str, str | None]]:
    """The name of each engine and the address of its database; an SQLite file is whoever asks to choose."""
    yield "SQLite", None
    with own_postgres() as url:
        yield "PostgreSQL", url
