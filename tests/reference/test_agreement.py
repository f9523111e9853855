"""Our verdicts beside those of HAPI's validator, over the shipped examples and published resources.

Needs Java 17 and Maven with HAPI at hand, and is skipped with the reason where they are not. The published resources
are those of the folder named by REFERRAL_TEST_CORPUS; nothing of it is part of the project.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from referral_service.fhir import conformance
from referral_service.fhir.parse import parse

HERE = Path(__file__).parent
PROFILES = HERE.parent.parent / "profiles"
CORPUS = os.environ.get("REFERRAL_TEST_CORPUS")
KNOWN = json.loads((HERE / "disagreements.json").read_text("utf-8"))
LEAST_SHARE = 0.97
BUILD_SECONDS = 300
JUDGE_SECONDS = 300

NOT_IN_JSON = frozenset({"empty-body", "not-utf8", "not-json", "not-object"})
"""Bodies that a service of JSON has to refuse, whatever a validator that also reads XML makes of them."""

SET_ASIDE = {
    "Terminology_PassThrough_TX_Message": "code",
    "Bundle_BUNDLE_Entry_NoFullUrl": "reference",
    "Bundle_BUNDLE_FullUrl_Missing": "reference",
    "BUNDLE_BUNDLE_ENTRY_NOTFOUND_CANNOT": "reference",
    "BUNDLE_BUNDLE_ENTRY_NOTFOUND_APPARENT": "reference",
}
"""Messages that decide nothing, for HAPI has no switch for them. ``code``: a code that is not in its code system,
where no required binding asks for it (that has messages of its own). ``reference``: an entry that a relative reference
is not resolved to. Both need what lies outside of the resource; the README says more."""


def claiming(profile: str, resource_type: str, **elements: Any) -> dict[str, Any]:
    url = f"https://referral-service.example/fhir/StructureDefinition/{profile}"
    return {"resourceType": resource_type, "meta": {"profile": [url]}, **elements}


ORDER = {"status": "active", "intent": "order"}
GROUP = {"resourceType": "Group", "id": "g", "type": "person", "actual": True}
CLAIMS = {
    "referral.json": claiming("dystonia-referral", "ServiceRequest", **ORDER, subject={"reference": "Patient/1"}),
    "referral-for-group.json": claiming(
        "dystonia-referral", "ServiceRequest", **ORDER, subject={"reference": "#g"}, contained=[GROUP]
    ),
    "task-without-referral.json": claiming("referral-task", "Task", status="requested", intent="order"),
    "patient.json": claiming("referral-patient", "Patient", birthDate="2016-03-16"),
}
"""Resources that claim profiles of the package, and are right or wrong by these alone."""


@dataclass(frozen=True)
class Judged:
    """One file: the rules that each side refuses it by, and what was set aside."""

    key: str
    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    aside: tuple[str, ...]

    @property
    def agreed(self) -> bool:
        return bool(self.ours) == bool(self.theirs)

    @property
    def line(self) -> str:
        who = "only HAPI refuses" if self.theirs else "only we refuse"
        return f"{self.key}: {who}: {', '.join(self.theirs or self.ours)}"


def files(claims: Path) -> Iterator[tuple[str, Path]]:
    for name, resource in CLAIMS.items():
        (claims / name).write_text(json.dumps(resource), "utf-8")
        yield f"claims/{name}", claims / name
    for folder in ("valid", "invalid"):
        for path in sorted((PROFILES / "examples" / folder).glob("*.json")):
            if not path.name.endswith(".outcome.json"):
                yield f"examples/{folder}/{path.name}", path
    if CORPUS:
        for path in sorted(Path(CORPUS).rglob("*.json")):
            yield f"corpus/{path.relative_to(CORPUS).as_posix()}", path


def run(arguments: list[str], seconds: int, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments, cwd=HERE, input=given, capture_output=True, text=True, encoding="utf-8", timeout=seconds, check=False
    )


def build() -> None:
    """Once: Maven is not asked again until the pom or the source is newer than what it made."""
    done = HERE / "target" / "built"
    sources = [HERE / "pom.xml", *HERE.rglob("src/**/*.java")]
    if done.exists() and all(each.stat().st_mtime < done.stat().st_mtime for each in sources):
        return
    try:
        outcome = run(["mvn", "-q", "-B", "compile"], BUILD_SECONDS)
    except subprocess.TimeoutExpired:
        pytest.skip(f"Maven did not build the judge within {BUILD_SECONDS} seconds")
    if outcome.returncode:
        lines = [line for line in outcome.stdout.splitlines() if "ERROR" in line]
        missing = [line for line in lines if "resolve" in line or "transfer" in line]
        if missing:
            pytest.skip(f"Maven cannot have the dependencies: {missing[0]}")
        pytest.fail("\n".join(lines[:20]))
    done.touch()


def verdicts_of_hapi(paths: list[Path]) -> list[list[dict[str, Any]]]:
    classes = os.pathsep.join(["target/classes", "target/lib/*"])
    command = ["java", "-Xmx2g", "-cp", classes, "reference.Judge", "--profiles", str(PROFILES)]
    outcome = run(command, JUDGE_SECONDS, "".join(f"{path.resolve()}\n" for path in paths))
    assert outcome.returncode == 0, outcome.stderr[-2000:]
    return [json.loads(line)["messages"] for line in outcome.stdout.splitlines()]


def our_rules(body: bytes) -> tuple[str, ...]:
    parsed = parse(body)
    issues = [*parsed.issues, *(conformance.check(parsed.value) if parsed.value is not None else ())]
    return tuple(sorted({issue.rule for issue in issues if issue.is_error}))


def judged(key: str, path: Path, messages: list[dict[str, Any]]) -> Judged:
    ours = our_rules(path.read_bytes())
    ids = {each["messageId"] or each["text"] for each in messages if each["severity"] in ("error", "fatal")}
    theirs = {"not-json"} if NOT_IN_JSON & set(ours) else ids - SET_ASIDE.keys()
    return Judged(key, ours, tuple(sorted(theirs)), tuple(sorted(ids & SET_ASIDE.keys())))


def explained() -> dict[str, tuple[str, ...]]:
    return {key: tuple(row["rules"]) for row in KNOWN for key in row["files"]}


def summary(rows: list[Judged], share: float) -> str:
    apart = [row for row in rows if not row.agreed]
    aside = sum(1 for row in rows if row.aside and not row.theirs and not row.ours)
    lines = [
        f"{len(rows)} resources, the same verdict on {len(rows) - len(apart)} ({share:.1%});",
        f"refused by both {sum(1 for row in rows if row.agreed and row.ours)}, by neither "
        f"{sum(1 for row in rows if row.agreed and not row.ours)};",
        f"{aside} accepted by both would be refused by HAPI if what was set aside decided.",
        *(row.line for row in apart),
    ]
    return "\n".join(lines)


def test_each_known_disagreement_says_who_is_right_and_where_the_specification_says_so() -> None:
    keys = [key for row in KNOWN for key in row["files"]]
    assert len(keys) == len(set(keys))
    for row in KNOWN:
        assert row.keys() == {"rules", "right", "why", "specification", "files"}
        assert row["right"] in ("HAPI", "ours")
        assert row["specification"].startswith("https://hl7.org/fhir/R4/")
        assert row["rules"] == sorted(row["rules"])
        assert all(key.startswith(("examples/", "corpus/")) for key in row["files"])


def test_our_verdict_is_that_of_the_reference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for tool in ("java", "mvn"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed, so HAPI's validator cannot be asked")
    build()
    given = list(files(tmp_path))
    answers = verdicts_of_hapi([path for _, path in given])
    rows = [judged(key, path, messages) for (key, path), messages in zip(given, answers, strict=True)]
    share = sum(1 for row in rows if row.agreed) / len(rows)
    with capsys.disabled():
        print(f"\nbeside HAPI: {summary(rows, share)}")
    known = explained()
    found = {row.key: row.theirs or row.ours for row in rows if not row.agreed}
    assert {key: rules for key, rules in found.items() if known.get(key) != rules} == {}, "not explained"
    asked = {row.key for row in rows}
    assert {key for key in known.keys() & asked if key not in found} == set(), "explained, but no longer there"
    assert share >= LEAST_SHARE
    refused = {row.key.removeprefix("claims/") for row in rows if row.key.startswith("claims/") and row.theirs}
    assert refused == {"referral-for-group.json", "task-without-referral.json"}
