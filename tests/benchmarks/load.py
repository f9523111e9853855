"""Load by wrk, one request after the other on each connection, and what it costs the processes that answer.

wrk (https://github.com/wg/wrk) is written in C and needs a small share of one core, so what is measured is the server.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote

NUMBER = "@@"
"""Stands in a body where each request has a number of its own."""
_TICKS = os.sysconf("SC_CLK_TCK")
_BAD = ("connect", "read", "write", "timeout", "status")
_SCRIPT = """
local threads, sent, run = 0, 0, "{run}"
local body = {body}
function setup(thread) threads = threads + 1; thread:set("number", threads) end
wrk.method = "{method}"
{headers}
function request()
  if body == nil then return wrk.format() end
  sent = sent + 1
  return wrk.format(nil, nil, nil, (body:gsub("@@", run .. "-" .. number .. "-" .. sent)))
end
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'measured {{"requests": %d, "microseconds": %d, "p50": %f, "p95": %f, "p99": %f, ' ..
    '"connect": %d, "read": %d, "write": %d, "timeout": %d, "status": %d}}\\n',
    summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(95), latency:percentile(99),
    errors.connect, errors.read, errors.write, errors.timeout, errors.status))
end
"""


class LoadError(RuntimeError):
    """Something was not answered as it should be; the figures would mean nothing."""


@dataclass(frozen=True)
class Call:
    """What is asked for again and again: a POST of ``body`` with :data:`NUMBER` in it, or a GET when it is None."""

    path: str
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cost:
    """What processes used: milliseconds of processor time."""

    server: float
    database: float


@dataclass(frozen=True)
class Measured:
    """How many were asked for, and in a second; milliseconds of the answers and of processor time for each; MiB of
    memory (PSS)."""

    requests: int
    rate: float
    p50: float
    p95: float
    p99: float
    server: float
    database: float
    memory: float

    def line(self) -> str:
        times = f"{self.rate:10.0f}{self.p50:9.1f}{self.p95:9.1f}{self.p99:9.1f}"
        return f"{times}{self.server:10.2f}{self.database:10.2f}{self.memory:8.0f}"


HEADINGS = f"{'a second':>10}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'CPU ms':>10}{'DB ms':>10}{'PSS':>8}"


def require_wrk() -> None:
    if shutil.which("wrk") is None:
        stop("This benchmark needs wrk, which is not here. On Debian and Ubuntu: apt-get install wrk")


def stop(why: str) -> NoReturn:
    raise SystemExit(why)


def measure(
    base: str, call: Call, connections: int, seconds: float, server: int, postmaster: int | None = None
) -> Measured:
    """``server`` and ``postmaster`` are the first processes of each; their children are counted with them.

    Raises :class:`LoadError` unless every request was answered with a status below 400.
    """
    before = _cost(server, postmaster)
    told = _wrk(base + call.path, call, connections, seconds)
    after = _cost(server, postmaster)
    bad = {name: told[name] for name in _BAD if told[name]}
    if bad or not told["requests"]:
        raise LoadError(f"{call.path} at {connections} connections: {told['requests']:.0f} requests, failed: {bad}")
    return Measured(
        requests=int(told["requests"]),
        rate=told["requests"] / told["microseconds"] * 1e6,
        p50=told["p50"] / 1e3,
        p95=told["p95"] / 1e3,
        p99=told["p99"] / 1e3,
        server=(after.server - before.server) / told["requests"],
        database=(after.database - before.database) / told["requests"],
        memory=sum(map(_memory, _family(server))),
    )


def _wrk(url: str, call: Call, connections: int, seconds: float) -> dict[str, float]:
    """What the script of the run tells at its end: requests, microseconds, and what went wrong."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "load.lua"
        script.write_text(_script(call), "utf-8")
        # wrk takes whole seconds only.
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", str(script), url]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
    told = re.search(r"^measured (\{.*\})$", ran.stdout, re.MULTILINE)
    if told is None:
        raise LoadError(f"wrk said: {ran.stdout}{ran.stderr}")
    return dict(json.loads(told[1]))


def _script(call: Call) -> str:
    headers = "\n".join(f"wrk.headers[ {_lua(name)} ] = {_lua(value)}" for name, value in call.headers.items())
    body, method = ("nil", "GET") if call.body is None else (_lua(call.body), "POST")
    return _SCRIPT.format(run=time.time_ns(), body=body, method=method, headers=headers)


def _lua(text: str) -> str:
    assert "]==]" not in text
    return f"[==[{text}]==]"


def _cost(server: int, postmaster: int | None) -> Cost:
    return Cost(sum(map(_processor, _family(server))), _processor_with_ended(postmaster) if postmaster else 0.0)


def _family(process: int) -> list[int]:
    """A process and all that came of it."""
    with suppress(FileNotFoundError, ProcessLookupError):
        tasks = Path(f"/proc/{process}/task").iterdir()
        children = [int(one) for task in tasks for one in (task / "children").read_text().split()]
        return [process, *(one for child in children for one in _family(child))]
    return []


def _processor(process: int) -> float:
    """Milliseconds of processor time so far; 0 when the process has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return sum(map(int, _stat(process)[11:13])) / _TICKS * 1e3
    return 0.0


def _processor_with_ended(process: int) -> float:
    """The same of a family, with those of its children that have ended meanwhile."""
    return sum(map(_processor, _family(process))) + sum(map(int, _stat(process)[13:15])) / _TICKS * 1e3


def _stat(process: int) -> list[str]:
    """The fields behind the name, which may hold spaces (proc_pid_stat(5): utime is the 14th of all)."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


def _memory(process: int) -> float:
    """MiB: what is shared counts by the share of each process (PSS, proc_pid_smaps(5))."""
    with suppress(FileNotFoundError, ProcessLookupError):
        rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
        found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
        return int(found[1]) / 1024 if found else 0.0
    return 0.0


def postmaster_of(url: str) -> int:
    """The first process of the PostgreSQL at the address, whose folder is where its socket lies."""
    folder = re.search(r"host=([^&]+)", url)
    assert folder is not None, "a PostgreSQL of the benchmark's own listens on a socket in its folder"
    return int((Path(unquote(folder[1])) / "postmaster.pid").read_text().splitlines()[0])
