"""Other FHIR servers that a package manager installs, each as its makers mean it to be run, durable commits on.

They are installed into a temporary folder. None of them does what this service does beside storing: read what each
does in :data:`PEERS` before reading a ratio.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
import venv
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import requests

HERE = Path(__file__).parent
INSTALL_SECONDS, START_SECONDS = 300, 60


class PeerError(RuntimeError):
    """A peer cannot be installed or started here, and why."""


@dataclass(frozen=True)
class Program:
    """How a peer is started, once installed: its command, and what it finds in its environment."""

    command: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Peer:
    """``base`` is the path of its FHIR base; ``install`` fills an empty folder, ``program`` starts from it, on a port
    and with the address of an empty PostgreSQL database."""

    name: str
    what: str
    base: str
    has_transactions: bool
    has_tasks: bool
    install: Callable[[Path], None]
    program: Callable[[Path, int, str], Program]


@dataclass(frozen=True)
class Started:
    base: str
    process: int


def install_all(folder: Path) -> dict[str, str]:
    """All at once, each into a folder of its name. Returns why a peer cannot be installed, by its name."""
    with ThreadPoolExecutor() as at_once:
        return dict(filter(None, at_once.map(lambda peer: _install(peer, folder / peer.name), PEERS)))


def _install(peer: Peer, folder: Path) -> tuple[str, str] | None:
    folder.mkdir()
    try:
        peer.install(folder)
    except subprocess.CalledProcessError as problem:
        return peer.name, str(problem.stderr).strip()[-400:]
    except (OSError, subprocess.SubprocessError, PeerError) as problem:
        return peer.name, str(problem)
    return None


@contextmanager
def started(peer: Peer, folder: Path, postgres: str) -> Iterator[Started]:
    """A peer that was installed into the folder. Raises :class:`PeerError` when it does not answer."""
    port = _free_port()
    program, log = peer.program(folder, port, postgres), folder / "peer.log"
    process = _start(program, folder, log)
    try:
        _wait(process, f"http://127.0.0.1:{port}{peer.base}/metadata", log)
        yield Started(f"http://127.0.0.1:{port}{peer.base}", process.pid)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _start(program: Program, folder: Path, log: Path) -> subprocess.Popen[bytes]:
    """In a process group of its own, so that it can be ended whole."""
    environment = {**os.environ, **program.environment}
    with log.open("wb") as told:
        try:
            return subprocess.Popen(
                program.command, cwd=folder, env=environment, stdout=told, stderr=told, start_new_session=True
            )
        except OSError as problem:
            raise PeerError(str(problem)) from problem


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            requests.get(url, timeout=5)
        except requests.ConnectionError:
            time.sleep(0.1)
        else:
            return
    raise PeerError(f"it does not answer: {log.read_text('utf-8', errors='replace')[-400:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _python(packages: tuple[str, ...], folder: Path) -> None:
    """A virtual environment in which the packages are installed."""
    venv.create(folder / "venv", with_pip=True)
    _run(folder, str(folder / "venv" / "bin" / "python"), "-m", "pip", "install", "-q", *packages)


def _run(folder: Path, *command: str) -> None:
    if shutil.which(command[0]) is None:
        raise PeerError(f"{command[0]} is not here")
    subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)


def _install_node(folder: Path) -> None:
    packages = ("@asymmetrik/node-fhir-server-core@2.2.5", "pg@8.23.1")
    _run(folder, "npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), *packages)


def _sekmet(folder: Path, port: int, _: str) -> Program:
    settings = f"base_url: http://127.0.0.1:{port}/fhir\nhost: 127.0.0.1\nport: {port}\nlog_inbound: false\n"
    (folder / "settings.yaml").write_text(f"{settings}simulator:\n  enabled: false\n", "utf-8")
    return Program((str(folder / "venv" / "bin" / "sekmet"), "serve"), {})


def _fhirstarter(folder: Path, port: int, _: str) -> Program:
    shutil.copy(HERE / "fhirstarter_sqlite.py", folder)
    served = ("fhirstarter_sqlite:app", "--port", str(port), "--log-level", "warning")
    environment = {"FHIR_SEQUENCE": "R4B", "PEER_DATABASE": str(folder / "peer.db")}
    return Program((str(folder / "venv" / "bin" / "uvicorn"), *served), environment)


def _node(folder: Path, port: int, postgres: str) -> Program:
    shutil.copy(HERE / "node_fhir.js", folder)
    parts = urlsplit(postgres)
    socket_folder = parse_qs(parts.query)["host"][0]
    address = f"socket:{socket_folder}?db={parts.path.strip('/')}&user={parts.username}"
    processes = str(os.cpu_count() or 1)
    environment = {"PEER_PORT": str(port), "PEER_DATABASE": address, "PEER_PROCESSES": processes}
    return Program(("node", "node_fhir.js"), environment)


PEERS = (
    Peer(
        name="sekmet-fhir",
        what="checks each resource; its own store in SQLite",
        base="/fhir",
        has_transactions=True,
        has_tasks=True,
        install=partial(_python, ("sekmet-fhir==0.1.1",)),
        program=_sekmet,
    ),
    Peer(
        name="fhirstarter",
        what="checks each resource; one row in SQLite, written by a handler of this benchmark",
        base="",
        has_transactions=False,
        has_tasks=False,
        install=partial(_python, ("fhirstarter==4.2.0", "uvicorn[standard]")),
        program=_fhirstarter,
    ),
    Peer(
        name="node-fhir-server-core",
        what="checks nothing; one row in PostgreSQL, written by a handler of this benchmark",
        base="/4_0_1",
        has_transactions=False,
        has_tasks=False,
        install=_install_node,
        program=_node,
    ),
)
