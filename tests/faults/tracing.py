"""System calls of running processes, watched and made to fail by strace."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.faults.waiting import until

SYNCS = "trace=fdatasync,fsync,pwrite64,write,writev,sendto,sendmsg,recvfrom,read"
_LINE = re.compile(r"^(?P<thread>\d+) +(?P<at>[\d:.]+) (?P<rest>.*)$")
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>")
LOGS = ("-wal>", "/pg_wal/")
"""What the paths of the two engines' write-ahead logs have in them."""


def needs_strace() -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not on the PATH")
    tried = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False)
    if tried.returncode != 0:
        pytest.skip("strace may not trace here")


@dataclass(frozen=True, slots=True)
class Call:
    """One system call that has returned, or the beginning of what it sent or got."""

    name: str
    text: str


@dataclass
class Trace:
    """What strace has written, read once the tracing is over."""

    file: Path

    def calls(self) -> Iterator[Call]:
        """In the order in which they returned. A call that another thread interrupted stands in two lines."""
        begun: dict[str, str] = {}
        for line in self.file.read_text("utf-8", errors="replace").splitlines():
            found = _LINE.match(line)
            if found is None:
                continue
            rest = found["rest"]
            if rest.endswith("<unfinished ...>"):
                begun[found["thread"]] = rest.removesuffix("<unfinished ...>")
                continue
            if _RESUMED.match(rest):
                rest = begun.pop(found["thread"], "") + _RESUMED.sub("", rest, count=1)
            yield Call(rest.partition("(")[0], rest)


@contextmanager
def traced(processes: Sequence[int], *expressions: str) -> Iterator[Trace]:
    """The processes, their threads and those that they start, for as long as the block runs."""
    with TemporaryDirectory() as folder:
        trace = Trace(Path(folder) / "trace")
        command = ["strace", "-f", "-qq", "-tt", "-y", "-s", "80", "-o", str(trace.file)]
        command += [word for one in expressions for word in ("-e", one)]
        command += [word for one in processes for word in ("-p", str(one))]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as strace:
            try:
                assert until(lambda: all(map(_is_traced, processes))), strace.stderr
                yield trace
            finally:
                strace.send_signal(signal.SIGINT)
                strace.wait(30)


def _is_traced(process: int) -> bool:
    threads = (Path("/proc") / str(process) / "task").glob("*/status")
    return all("TracerPid:\t0\n" not in one.read_text("ascii") for one in threads)


def unsynced_answers(trace: Trace) -> tuple[int, list[str]]:
    """How many requests were answered 201, and those before whose answer the log was not written and then synced.

    For one client that sends one request at a time.
    """
    answered, faults, written, synced = 0, list[str](), False, False
    for call in trace.calls():
        if '"POST /fhir' in call.text:
            written, synced = False, False
        elif call.name in ("pwrite64", "write") and any(log in call.text for log in LOGS):
            written, synced = True, False
        elif (
            call.name in ("fdatasync", "fsync") and any(log in call.text for log in LOGS) and call.text.endswith("= 0")
        ):
            synced = written
        elif '"HTTP/1.1 201' in call.text:
            answered += 1
            if not synced:
                faults.append(f"an answer went out, the log was {'not synced' if written else 'not written'}")
    return answered, faults
