"""Lists as CSV files (RFC 4180), safe to open in a spreadsheet, sent as they are read."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from flask import Response, stream_with_context

from referral_service.web.present.nottaken import NotTaken
from referral_service.web.present.queue import Line

Cell = str | int | float | None
Table = Iterable[Sequence[Cell]]

_BEGINS_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_BYTE_ORDER_MARK = "\ufeff"
"""Without it spreadsheets take UTF-8 for something older."""


def csv_response(name: str, rows: Table) -> Response:
    """A download named ``name.csv``; ``rows`` begin with their headings and are read while they are sent."""
    body = stream_with_context(csv_lines(rows))
    response = Response(body, content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


def csv_lines(rows: Table) -> Iterator[str]:
    """Every cell quoted, so that a spreadsheet that parts cells at other signs finds none to part at."""
    yield _BYTE_ORDER_MARK
    line = io.StringIO()
    writer = csv.writer(line, quoting=csv.QUOTE_ALL)
    for row in rows:
        writer.writerow([harmless(cell) for cell in row])
        yield line.getvalue()
        line.seek(0)
        line.truncate()


def harmless(cell: Cell) -> Cell:
    """A text that a spreadsheet would run as a formula gets an apostrophe before it.

    https://owasp.org/www-community/attacks/CSV_Injection
    """
    if isinstance(cell, str) and (cell.startswith(_BEGINS_FORMULA) or cell.lstrip().startswith(_BEGINS_FORMULA)):
        return f"'{cell}"
    return cell


WORKLIST = (
    *("referral", "priority", "red flag", "status", "patient", "age", "code", "indication", "suspected", "flags"),
    *("received", "waited", "due", "overdue", "assignee", "requester", "sender"),
)


def worklist(lines: Iterable[Line]) -> Table:
    """The lines of a queue, as on its page."""
    yield WORKLIST
    for one in lines:
        yield (
            *(one.referral_id, one.priority, _yes(one.red_flag), one.status_words, one.name, one.age),
            *(one.code, one.title, _yes(one.suspected), ", ".join(chip.label for chip in one.flags)),
            *(one.received.iso, one.waited, one.due.iso, _yes(one.due.state == "overdue")),
            *(one.assignee, one.sender, one.client),
        )


NOT_TAKEN = ("outcome", "red flag", "received", "sender", "placer", "request", "rules", "why", "taken in as")


def not_taken(rows: Iterable[NotTaken]) -> Table:
    """What was not taken, as in its list."""
    yield NOT_TAKEN
    for one in rows:
        yield (
            *(one.state_words, _yes(one.red_flag), one.at.iso, one.client, one.placer, one.request_id),
            *(", ".join(issue["rule"] for issue in one.reasons), " ".join(issue["words"] for issue in one.reasons)),
            one.referral_id,
        )


def _yes(value: bool) -> str:
    return "yes" if value else "no"
