"""The disk is full, or does not keep what it is told to: nothing is acknowledged then, and it goes on afterwards."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.load import writing
from tests.faults.scenarios import a_writer
from tests.faults.tracing import needs_strace, traced
from tests.faults.waiting import until
from tests.faults.world import Postgres, World, a_world

MEBIBYTE = 1024 * 1024
SIZES = {"sqlite": 12, "postgresql": 256}
"""Of the disk, in MiB."""
WHILE = 3.0
"""Seconds in which nothing can be written."""


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A disk of its own, in memory."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk of its own")
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}M", "none", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("no disk can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Nothing more fits on the disk."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (MEBIBYTE, 4096):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return filler


@pytest.fixture
def world_on_a_small_disk(engine: str, tmp_path: Path, record_property: Callable[..., None]) -> Iterator[World]:
    with small_disk(tmp_path / "disk", SIZES[engine]) as disk:
        servers: list[Postgres] = []

        def server() -> Postgres:
            (disk / "data").mkdir()
            servers.append(Postgres(disk / "data"))
            return servers[0]

        with a_world(engine, tmp_path, server) as world:
            if engine == "sqlite":
                world.url = f"sqlite:///{disk / 'referrals.db'}"
            yield world
            record_property("acknowledged writes", world.journal.writes)
            record_property("scenarios", 1)
        for one in servers:
            one.close()


def test_on_a_full_disk_all_are_told_to_come_back_until_there_is_room(world_on_a_small_disk: World) -> None:
    world = world_on_a_small_disk
    world.start()
    a_writer(world).create()
    filler = fill(world.folder / "disk")
    with writing(world.bases, world.journal):
        assert until(lambda: world.journal.answers[503] > 5), world.journal
        time.sleep(WHILE)
        filler.unlink()
        if world.postgres is not None:
            world.postgres.start()
        full = world.journal.writes
        assert until(lambda: world.journal.writes > full + 20), world.journal
    assert world.check() == []


def test_what_the_disk_does_not_keep_is_not_acknowledged(world: World) -> None:
    """Each sync fails, as on a disk that breaks; PostgreSQL stops at the first, and is started again later."""
    needs_strace()
    world.start()
    a_writer(world).create()
    failing = [*world.serving_processes(), *world.database_processes()]
    with writing(world.bases, world.journal):
        with traced(failing, "trace=fdatasync,fsync", "inject=fdatasync,fsync:error=EIO"):
            assert until(lambda: world.journal.answers[503] > 5), world.journal
            before = world.journal.writes
            time.sleep(WHILE)
            assert world.journal.writes == before
        if world.postgres is not None:
            world.postgres.restart()
        assert until(lambda: world.journal.writes > before + 20), world.journal
    world.power_cut()
    assert world.check() == []
