"""A whole site as one stream of JSON lines, as of one moment; see :mod:`referral_service.store.importing`.

The first line says what follows, each further one is a row of a table, and the last holds the counts and the SHA-256 of
all bytes before it, so that a file which was cut off or changed is known. Bytes are base64. What is kept in memory is a
few rows at a time.
"""

from __future__ import annotations

import base64
import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import orjson
from sqlalchemy import LargeBinary, Table, select

from referral_service.store import tables
from referral_service.store.engine import Connection, Store, Unfit, instant
from referral_service.store.migrations import revision

FORMAT = 1
LEFT_OUT = (tables.chore, tables.proof, tables.quota)
"""What says nothing of a site: when chores are next, how processes do, and the calls of the running second."""

_AT_ONCE = {tables.binary_content: 1, tables.received: 4}
"""How many rows are fetched at once, of any other table 100: a file may have 20 MiB, a request 10."""


class ExportRefused(Unfit):
    """Nothing was exported; the message says why."""


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that was not there and that only its owner may read, on the disk when all went well, else gone again.

    ``-`` is standard output. Raises :class:`ExportRefused`.
    """
    if str(path) == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    except OSError as problem:
        raise ExportRefused(f"{path} cannot be made: {problem.strerror}") from problem
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink()
        raise


def in_order() -> list[Table]:
    """Every table of a site, parents first; anchors first of all, for they are taken only while the trail is empty."""
    return [
        tables.audit_anchor,
        *(one for one in tables.metadata.sorted_tables if one not in (*LEFT_OUT, tables.audit_anchor)),
    ]


def binary_columns(table: Table) -> frozenset[str]:
    return frozenset(column.name for column in table.columns if isinstance(column.type, LargeBinary))


def export(store: Store, version: str, at: datetime, write: Callable[[bytes], Any]) -> Mapping[str, int]:
    """Writes every line; gives the number of rows by table. ``version`` is that of the program."""
    counts, digest = {str(table.name): 0 for table in in_order()}, hashlib.sha256()

    def line(content: Mapping[str, Any]) -> None:
        written = orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE)
        digest.update(written)
        write(written)

    with store.at_one_moment() as connection:
        told = {"program": version, "revision": revision(connection), "at": instant(at)}
        line({"type": "referral-service", "format": FORMAT, **told})
        for table in in_order():
            for row in _rows(connection, table):
                line({"type": "row", "table": str(table.name), "row": row})
                counts[str(table.name)] += 1
    end = {"type": "end", "counts": counts, "sha256": digest.hexdigest()}
    write(orjson.dumps(end, option=orjson.OPT_APPEND_NEWLINE))
    return counts


def _rows(connection: Connection, table: Table) -> Iterator[dict[str, Any]]:
    binary = binary_columns(table)
    query = select(table).order_by(*table.primary_key).execution_options(yield_per=_AT_ONCE.get(table, 100))
    for row in connection.execute(query).mappings():
        yield {str(name): _base64(value) if name in binary else value for name, value in row.items()}


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()
