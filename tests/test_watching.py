"""What real processes tell Prometheus: added up over all of them, whoever is asked, also once one has died."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from referral_service.processes import FOLDER
from tests.canaries import PATIENT, PROCESSES, SCANNER
from tests.scraped import Samples, labels_of, samples, value
from tests.serving import Server
from tests.shapes import referral

OBSERVABILITY = Path(__file__).parent.parent / "docs" / "observability"
SENT = 40
CREATES = {"route": "/fhir/ServiceRequest", "method": "POST", "status": "201"}
NAMED = re.compile(r"\b(?:referral_[a-z_]+|up)\b(?:\{([^}]*)\})?")
LABEL = re.compile(r"(\w+)\s*[=!][=~]?\s*\"")
GROUPED = re.compile(r"\b(?:by|without)\s*\(([^)]*)\)")
OF_PROMETHEUS = {"up", "job", "instance", "le"}
"""What Prometheus itself knows: its own measure, and the labels that it adds or histograms have."""


@pytest.fixture(scope="module")
def server(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two processes on PostgreSQL, to whom as many referrals have come as :data:`SENT`."""
    from tests.conftest import new_database

    with new_database(postgres_server) as url:
        started = Server(url, tmp_path_factory.mktemp("watched"), processes=2)
        started.start()
        numbers = range(SENT)
        with ThreadPoolExecutor(8) as pool:
            sent = pool.map(lambda n: started.post("/fhir/ServiceRequest", of(n)).status_code, numbers)
            assert set(sent) == {201}
        assert started.post("/fhir/ServiceRequest", {"resourceType": "ServiceRequest"}).status_code == 400
        yield started
        started.stop()


def of(number: int) -> dict[str, Any]:
    return referral(f"M-{number}", contained=[{**PATIENT, "id": "p"}])


def told(server: Server) -> Samples:
    """Each time over a connection of its own, so that any process may be asked."""
    text = requests.get(f"{server.base}/metrics", timeout=10).text
    SCANNER.look_at("metrics", text)
    return samples(text)


def folder_of(server: Server) -> Path:
    assert server.process is not None
    for one in children(server):
        variables = (PROCESSES / str(one) / "environ").read_bytes().decode().split("\0")
        found = [part.partition("=")[2] for part in variables if part.startswith(f"{FOLDER}=")]
        if found:
            return Path(found[0])
    files = [path for path in Path("/dev/shm").glob("referral-metrics-*") if of_group(path, server)]
    assert len(files) == 1
    return files[0]


def of_group(folder: Path, server: Server) -> bool:
    numbers = {int(file.stem.rpartition("_")[2]) for file in folder.glob("*.db")}
    return bool(numbers & set(children(server)))


def children(server: Server) -> list[int]:
    """The processes that serve."""
    assert server.process is not None
    listed = (PROCESSES / str(server.process.pid) / "task" / str(server.process.pid) / "children").read_text("ascii")
    return [int(one) for one in listed.split() if is_server(int(one))]


def is_server(number: int) -> bool:
    return b"resource_tracker" not in (PROCESSES / str(number) / "cmdline").read_bytes()


def test_whoever_is_asked_has_counted_what_all_have(server: Server) -> None:
    assert len(children(server)) == 2
    scrapes = [told(server) for _ in range(20)]
    assert {value(one, "requests_total", **CREATES) for one in scrapes} == {SENT}
    queue, policy = "adult-movement-disorders", "default|2026.1"
    decided = {"disposition": "routed", "queue": queue, "code": "G24.3", "policy": policy}
    assert {value(one, "decisions_total", **decided) for one in scrapes} == {SENT}
    counts = [value(one, "request_seconds_count", **{**CREATES, "status": "2xx"}) for one in scrapes]
    assert set(counts) == {SENT}
    assert {value(one, "tasks_open", queue=queue, status="requested") for one in scrapes} == {SENT}
    assert {value(one, "ledger_received") for one in scrapes} <= {SENT, SENT + 1}


def test_both_have_counted_some(server: Server) -> None:
    numbers = {int(path.stem.rpartition("_")[2]) for path in folder_of(server).glob("counter_*.db")}
    assert set(children(server)) <= numbers


def test_what_a_process_has_counted_that_died_still_counts_and_what_it_held_does_not(server: Server) -> None:
    before = told(server)
    files = folder_of(server)
    victim = children(server)[0]
    os.kill(victim, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while victim in children(server) or len(children(server)) < 2:
        assert time.monotonic() < deadline, "nobody came in its place"
        time.sleep(0.1)
    while len(list(files.glob("gauge_livesum_*.db"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.1)
    while not answers(server):
        assert time.monotonic() < deadline
    time.sleep(3)
    after = told(server)
    assert value(after, "requests_total", **CREATES) == value(before, "requests_total", **CREATES) == SENT
    assert value(after, "request_threads") == value(before, "request_threads")
    assert not (files / f"gauge_livesum_{victim}.db").exists()
    assert (files / f"counter_{victim}.db").exists()


def answers(server: Server) -> bool:
    try:
        return server.get("/health/live").ok
    except requests.ConnectionError:
        return False


def test_the_folder_goes_with_the_server(postgres_url: str, tmp_path: Path) -> None:
    server = Server(postgres_url, tmp_path, processes=2)
    server.start()
    folder = folder_of(server)
    assert folder.is_dir()
    server.stop()
    assert not folder.exists()


def test_every_line_that_a_server_logs_is_an_object_with_time_level_and_event(server: Server) -> None:
    lines = [json.loads(line) for line in server.log.read_text("utf-8").splitlines()]
    assert [one for one in lines if not {"timestamp", "level", "event", "process", "version"} <= set(one)] == []
    creates = [one for one in lines if one["event"] == "request" and one["route"] == "/fhir/ServiceRequest"]
    assert [one["status"] for one in creates].count(201) == SENT
    assert [one for one in lines if one["level"] == "error" and one.get("logger") != "_granian"] == []
    assert [one for one in lines if one.get("route", "").startswith(("/health", "/metrics"))] == []


# --- dashboard and rules


def expressions() -> dict[str, str]:
    """Every expression of the dashboard and of the rules, by where it stands."""
    dashboard = json.loads((OBSERVABILITY / "dashboard.json").read_text("utf-8"))
    found = {
        f"{panel['title']} {target['refId']}": target["expr"].replace("$__rate_interval", "1m").replace("$queue", ".*")
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
    }
    found |= {f"rule {name}": one for name, one in rules().items()}
    return found


def rules() -> dict[str, str]:
    text = (OBSERVABILITY / "alerts.yml").read_text("utf-8")
    blocks = re.findall(r"- alert: (\w+)\n\s+expr: >-\n((?:          .*\n)+)", text)
    return {name: " ".join(expr.split()) for name, expr in blocks}


def used() -> Iterator[tuple[str, str, set[str]]]:
    """(where, name, labels) of every measure that an expression names."""
    for where, expression in expressions().items():
        labels = {one.strip() for listed in GROUPED.findall(expression) for one in listed.split(",") if one.strip()}
        for match in NAMED.finditer(expression):
            own = set(LABEL.findall(match[1] or ""))
            yield where, match[0].partition("{")[0], own | (labels if len(NAMED.findall(expression)) == 1 else set())


def test_every_measure_and_label_of_dashboard_and_rules_is_told_by_a_running_service(server: Server) -> None:
    known = labels_of(told(server))
    missing = [
        (where, name, sorted(labels - known.get(name, set()) - OF_PROMETHEUS))
        for where, name, labels in used()
        if name not in OF_PROMETHEUS and (name not in known or not labels <= known[name] | OF_PROMETHEUS)
    ]
    assert (missing, len(expressions()) > 60) == ([], True)


def test_every_measure_that_is_told_is_shown_or_watched(server: Server) -> None:
    named = {name for _, name, _ in used()}
    whole = {re.sub(r"_(bucket|count|sum)$", "_seconds", name) for name in named} | named
    told_of = {name for name in labels_of(told(server)) if not name.startswith("referral_request_seconds")}
    assert sorted(told_of - whole) == []


def test_each_rule_says_what_it_means_and_where_its_runbook_is() -> None:
    text = (OBSERVABILITY / "alerts.yml").read_text("utf-8")
    blocks = text.split("- alert: ")[1:]
    assert (len(blocks), len(rules())) == (19, 19)
    for block in blocks:
        name = block.split()[0]
        anchor = re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()
        assert f"runbook_url: docs/operations.md#{anchor}\n" in f"{block}\n"
        assert re.search(r"severity: (critical|warning)\n", block)
        assert re.search(r'summary: ".+"\n', block)


def test_each_panel_of_the_dashboard_has_its_own_number_and_place() -> None:
    panels = json.loads((OBSERVABILITY / "dashboard.json").read_text("utf-8"))["panels"]
    assert len({one["id"] for one in panels}) == len(panels)
    taken = [
        (x, y)
        for place in (one["gridPos"] for one in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert (len(taken) == len(set(taken)), max(x for x, _ in taken)) == (True, 23)


PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="no promtool on this machine (it comes with Prometheus)")


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(PROMTOOL), *words], capture_output=True, text=True, check=False, timeout=120)


@needs_promtool
def test_rules_and_configuration_are_valid() -> None:
    for words in (("check", "rules", "alerts.yml"), ("check", "config", "prometheus.yml")):
        ran = promtool(*words[:2], str(OBSERVABILITY / words[2]))
        assert ran.returncode == 0, ran.stdout + ran.stderr


@needs_promtool
def test_every_expression_of_the_dashboard_is_promql(tmp_path: Path) -> None:
    written = [{"record": f"one:{place}", "expr": one} for place, one in enumerate(expressions().values())]
    file = tmp_path / "all.yml"
    file.write_text(json.dumps({"groups": [{"name": "all", "rules": written}]}), "utf-8")
    ran = promtool("check", "rules", str(file))
    assert (ran.returncode, f"{len(written)} rules found" in ran.stdout) == (0, True), ran.stdout + ran.stderr


@needs_promtool
def test_what_the_metrics_are_called_is_as_prometheus_wants_it(server: Server) -> None:
    text = requests.get(f"{server.base}/metrics", timeout=10).text
    checked = [str(PROMTOOL), "check", "metrics"]
    ran = subprocess.run(checked, input=text, capture_output=True, text=True, check=False, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")


@needs_promtool
def test_the_rules_speak_when_they_are_to_and_are_silent_before() -> None:
    files = [str(Path(__file__).parent / name) for name in ("alerts_test.yml", "alerts_of_days_test.yml")]
    ran = promtool("test", "rules", *files)
    assert ran.returncode == 0, ran.stdout + ran.stderr
