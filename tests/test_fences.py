"""Who may import what: each foreign library lives behind one door, and the rules of the field know only each other."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "referral_service"
MODULES = sorted(PACKAGE.rglob("*.py"))

DOORS = {
    # library            rooms that may import it
    "sqlalchemy": {"store"},
    "alembic": {"store"},
    "argon2": {"access"},
    "authlib": {"web"},
    "joserfc": {"access"},
    "zxcvbn": {"access"},
    "psycopg": set(),
    "flask": {"web", "app"},
    "werkzeug": {"web"},
    "requests": {"outbound"},
    "urllib3": {"outbound"},
    "smtplib": {"mail"},
    "granian": {"server"},
    "click": {"cli", "demo"},
    "fhir": {"fhir"},
    "fhirpathpy": {"fhir"},
    "jsonpatch": {"intake"},
    "jsonpointer": {"intake"},
    "pydantic": {"fhir"},
    "orjson": {"fhir", "intake", "web", "store", "logs"},
    "prometheus_client": {"metrics"},
    "structlog": {"logs"},
}
PURE = {"addresses", "issues", "policy", "referral", "routing", "decide", "worklist", "coding"}
"""Rooms where the rules of the field live: the standard library and one another, nothing else."""

INWARD = {
    # room         what it may never import
    "fhir": {"intake", "store", "delivery", "web", "worker", "telling", "app", "cli"},
    "store": {"intake", "access", "delivery", "web", "worker", "telling", "app", "cli"},
    "intake": {"web", "access", "delivery", "worker", "telling", "app", "cli"},
    "access": {"fhir", "intake", "delivery", "web", "worker", "telling", "app", "cli"},
    "ehr": {"access", "intake", "store", "delivery", "web", "worker", "telling", "app", "cli"},
    "fetching": {"access", "delivery", "web", "telling", "app", "cli"},
    "delivery": {"web", "telling", "app", "cli"},
    "web": {"fetching", "worker", "telling", "app", "cli"},
    "worker": {"fhir", "intake", "delivery", "web", "telling", "reminding", "app", "cli"},
    "reminding": {"web", "telling", "app", "cli"},
    "playing": {"web", "telling", "reminding", "app", "cli"},
    "metrics": {"fhir", "intake", "access", "store", "delivery", "web", "worker", "telling", "app", "cli"},
    "latest": {"fhir", "intake", "access", "store", "delivery", "web", "worker", "telling", "app", "cli"},
    "watching": {"intake", "access", "delivery", "web", "worker", "telling", "app", "cli"},
    "recording": {"intake", "access", "web", "worker", "telling", "app", "cli"},
    "sealing": {"intake", "access", "web", "worker", "telling", "app", "cli"},
    "telling": {"fhir", "intake", "web", "app", "cli"},
    "mail": {"fhir", "intake", "store", "web", "worker", "telling", "app", "cli"},
    "outbound": {"fhir", "intake", "store", "delivery", "web", "worker", "telling", "app", "cli"},
}


def _room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imports(path: Path) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append((node.module, [alias.name for alias in node.names]))
    return found


def _named(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", MODULES, ids=_named)
def test_a_library_stays_behind_its_door(path: Path) -> None:
    libraries = {name.partition(".")[0] for name, _ in _imports(path)}
    assert [lib for lib in sorted(libraries & DOORS.keys()) if _room(path) not in DOORS[lib]] == []


@pytest.mark.parametrize("path", [path for path in MODULES if _room(path) in PURE], ids=_named)
def test_the_rules_of_the_field_know_only_each_other(path: Path) -> None:
    foreign = [
        name
        for name, _ in _imports(path)
        if name.partition(".")[0] not in sys.stdlib_module_names and not _is_pure(name)
    ]
    assert foreign == []


@pytest.mark.parametrize("path", [path for path in MODULES if _room(path) in INWARD], ids=_named)
def test_imports_point_inward(path: Path) -> None:
    rooms = {_room_of(name) for name, _ in _imports(path)}
    assert sorted(rooms & INWARD[_room(path)]) == []


@pytest.mark.parametrize("path", [path for path in MODULES if "migrations/versions" not in str(path)], ids=_named)
def test_modules_and_functions_stay_small(path: Path) -> None:
    source = path.read_text("utf-8")
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    long = [node.name for node in functions if (node.end_lineno or 0) - node.lineno >= 60]
    assert (source.count("\n") <= 350, long) == (True, [])


@pytest.mark.parametrize("path", [path for path in MODULES if _room(path) in PURE | {"fhir"}], ids=_named)
def test_no_rule_reads_the_clock_or_the_environment(path: Path) -> None:
    read = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    assert sorted(read & {"datetime.now", "date.today", "time.time", "os.environ", "os.getenv"}) == []


def _is_pure(name: str) -> bool:
    return name.partition(".")[0] == "referral_service" and _room_of(name) in PURE


def _room_of(name: str) -> str:
    parts = name.split(".")
    return parts[1] if parts[0] == "referral_service" and len(parts) > 1 else ""
