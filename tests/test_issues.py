"""Every stable code that an outcome can carry is in CodeSystem/issue, with a definition."""

from __future__ import annotations

import ast
import json
from pathlib import Path

from referral_service.fhir.terminology import profiles_folder

PACKAGE = Path(__file__).parent.parent / "referral_service"
MAKERS = {"error", "warning", "information", "Issue", "_rejection"}


def _stated_rules() -> set[str]:
    """The second argument of every call that makes an issue, where it is written out."""
    found: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MAKERS:
                place = {"Issue": 2, "_rejection": 0}.get(node.func.id, 1)
                if len(node.args) > place and isinstance(node.args[place], ast.Constant):
                    found.add(str(node.args[place].value))
    return found


def test_every_rule_is_defined() -> None:
    system = json.loads(profiles_folder().joinpath("CodeSystem-issue.json").read_text("utf-8"))
    defined = {concept["code"] for concept in system["concept"] if concept["definition"]}
    assert _stated_rules() - defined == set()
    assert len(defined) == len(system["concept"]) == system["count"]
