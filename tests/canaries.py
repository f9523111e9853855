"""Values that invented patients carry, and a scanner that finds them where nothing of a patient may stand.

Looked at are the log of the whole run at DEBUG, the bodies of errors, temporary files, and of served processes the
logs, metrics and arguments; each value as it is, as in a URL, and in base64 whatever stands before it.
"""

from __future__ import annotations

import base64
import logging
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

NAME = "Quillfeather Zamboanga"
NUMBER = "QZ-7719-4402-X"
PHONE = "+44 7700 900733"
FREE_TEXT = "keeps eleven wren's eggs & a brass sextant"
BORN = "1969-02-27"
ALL = (NAME, NUMBER, PHONE, FREE_TEXT, BORN)

CARRIED: dict[str, Any] = {
    "maritalStatus": {"text": FREE_TEXT},
    "generalPractitioner": [{"display": NAME}, {"display": f"{NUMBER} {PHONE}"}],
}
"""What most invented patients carry and no test asks for."""
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "name": [{"text": NAME, "family": NAME, "given": [NAME]}],
    "identifier": [{"system": "urn:example:nhs", "value": NUMBER}],
    "telecom": [{"system": "phone", "value": PHONE}],
    "birthDate": BORN,
    "maritalStatus": {"text": FREE_TEXT},
    "text": {"status": "additional", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{NAME} {PHONE}</div>'},
}


def _spellings(value: str) -> set[str]:
    """One value in all the ways in which it could be written down."""
    raw = value.encode()
    found = {value, quote(value), quote_plus(value), quote(value, safe="")}
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + raw).decode()
        # The first and the last characters also depend on what stands before and behind.
        inner = coded[(0, 2, 3)[before] : len(coded.rstrip("=")) - 1]
        found |= {inner, inner.replace("+", "-").replace("/", "_")}
    return found


_ANY = re.compile("|".join(sorted(re.escape(one) for value in ALL for one in _spellings(value))), re.IGNORECASE)


def leak(text: str) -> str | None:
    """What of a patient stands in a text, if anything does."""
    match = _ANY.search(text)
    return match[0] if match else None


class Scanner(logging.Handler):
    """Remembers every place where a value was found; ``found`` is emptied by whoever looks."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.found: list[str] = []
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.look_at(f"log {record.name}", self.format(record))

    def look_at(self, place: str, text: str) -> None:
        value = leak(text)
        if value is not None:
            self.found.append(f"{place}: {value}")

    def answered(self, _: object, response: Any, **__: Any) -> None:
        """Errors of systems; what somebody typed into a form of ours is shown to them again with its faults."""
        is_open = response.direct_passthrough or response.is_streamed
        if response.status_code >= 400 and response.mimetype != "text/html" and not is_open:
            self.look_at(f"error {response.status_code}", response.get_data(as_text=True))

    def look_into(self, folder: Path) -> None:
        for path in folder.rglob("*"):
            if path.is_file():
                self.look_at(f"file {path.name}", path.read_bytes().decode("latin-1"))

    def look_at_processes(self, group: int) -> int:
        """The arguments of every process of a group, which anybody on the machine can read; how many there were."""
        looked = 0
        for folder in PROCESSES.glob("[0-9]*"):
            try:
                if os.getpgid(int(folder.name)) != group:
                    continue
                arguments = (folder / "cmdline").read_bytes()
            except (ProcessLookupError, FileNotFoundError):  # it has ended meanwhile
                continue
            looked += 1
            self.look_at("argv", arguments.replace(b"\0", b" ").decode("utf-8", "replace"))
        return looked

    def taken(self) -> list[str]:
        found, self.found = self.found, []
        return found


PROCESSES = Path("/proc")
SCANNER = Scanner()
