"""The log of a process, to stderr: one line of JSON an event, or a plain line, and nothing of a patient in it.

Whoever has something to tell calls the standard library's logging with a stable name and ``key=value`` of our own ids;
here it becomes a line. Of what libraries tell only the words that stand in their source are shown, never what they
filled in, and of an exception its kind and where it arose.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from importlib.metadata import version
from os import getpid
from typing import Any, BinaryIO

import orjson
import structlog
from structlog.stdlib import ProcessorFormatter

OURS = "referral_service"
_Event = MutableMapping[str, Any]
_NAMED = re.compile(r"[a-z_]+(?: [a-z_]+=\S*)*")
_HARMLESS = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}|[0-9A-HJKMNP-TV-Z]{26}")
"""UUID, the trace id of W3C, and ULID: forms that are made by machines and hold nobody's name, number or birthday."""
_VERSION = version("referral-service")
_ids: ContextVar[Mapping[str, str] | None] = ContextVar("ids", default=None)
_stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)


def begin(**ids: str) -> None:
    """Ids that stand on every line from now on, in this thread."""
    _ids.set(ids)


def is_harmless(identity: str) -> bool:
    """Whether an id that somebody else made may stand in a log."""
    return _HARMLESS.fullmatch(identity) is not None


def configure(form: str = "json", level: str = "info") -> None:
    """This service from ``level`` on, the libraries from WARNING on; once a process."""
    render = _as_json if form == "json" else _as_line
    handler = logging.StreamHandler()
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[_told],
            processors=[ProcessorFormatter.remove_processors_meta, _complete, lambda *one: render(*one).decode()],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger(OURS).setLevel(level.upper())
    number = logging.getLevelName(level.upper())
    _Requests.log = structlog.wrap_logger(
        structlog.BytesLogger(_unbuffered()),
        processors=[structlog.processors.add_log_level, _complete, render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        cache_logger_on_first_use=True,
    ).bind()


def _unbuffered() -> BinaryIO:
    """Standard error, where each line is one write."""
    sys.stderr.flush()
    return open(sys.stderr.fileno(), "wb", buffering=0, closefd=False)


class _Requests:
    """Where requests are told; before :func:`configure` by the standard library, as all else is."""

    log: Any = structlog.wrap_logger(
        logging.getLogger(OURS),
        processors=[structlog.processors.KeyValueRenderer(key_order=["event"])],
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def request(is_of_note: bool, **facts: Any) -> None:
    """One request, straight to the line, for there are many. Those of load balancers are told at DEBUG."""
    (_Requests.log.info if is_of_note else _Requests.log.debug)("request", **facts)


def where(problem: BaseException) -> str:
    """The module and line where a fault arose; its message may hold anything and is not shown."""
    place = problem.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return f"{place.tb_frame.f_globals.get('__name__')}:{place.tb_lineno}" if place else "unknown"


def _told(_: Any, __: str, event: _Event) -> _Event:
    """What the standard library's logging was called with, taken apart."""
    record: logging.LogRecord = event["_record"]
    words = event.pop("event")
    event["level"] = record.levelname.lower()
    if record.name.partition(".")[0] != OURS:
        event.update(event="library", logger=record.name, message=str(record.msg))
    elif _NAMED.fullmatch(words):
        name, *facts = words.split(" ")
        event.update(dict(fact.split("=", 1) for fact in facts), event=name)
    else:
        event.update(event="remark", message=words)
    raised = event.pop("exc_info", None)
    if raised:
        event.update(kind=raised[0].__name__, at=where(raised[1]))
    return event


def _complete(logger: Any, name: str, event: _Event) -> _Event:
    event.update(_ids.get() or {})
    event["process"], event["version"] = getpid(), _VERSION
    return _stamp(logger, name, event)


_FIRST = ("timestamp", "level", "event")


def _as_json(_: Any, __: str, event: _Event) -> bytes:
    first = {key: event.pop(key) for key in _FIRST}
    return orjson.dumps({**first, **event}, default=str)


def _as_line(_: Any, __: str, event: _Event) -> bytes:
    """As it is read in a terminal: which process and version it was, whoever looks there knows."""
    stamp, level, name = (event.pop(key) for key in _FIRST)
    if "message" in event:
        name = event.pop("message")
    facts = (f"{key}={value}" for key, value in event.items() if key not in ("process", "version"))
    return " ".join((stamp, level.upper(), name, *facts)).encode()
