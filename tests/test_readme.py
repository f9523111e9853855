"""The README tells the truth: its tree is the folder, its settings are the settings, its curl works."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from referral_service.settings import KNOWN

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
HIDDEN = re.compile(r"__pycache__|.*\.egg-info|py\.typed")


def _block(marker: str) -> str:
    match = re.search(rf"<!-- {marker} -->\n```\w*\n(.*?)\n```", README, re.DOTALL)
    assert match is not None
    return match[1]


def test_the_tree_is_the_folder() -> None:
    listed: dict[str, set[str]] = {"": set()}
    for line in _block("tree").splitlines():
        name = line.split()[0].rstrip("/")
        if line.startswith("  "):
            listed["referral_service"].add(name)
        else:
            listed[""].add(name)
            listed.setdefault(name, set())
    package = {path.name for path in (ROOT / "referral_service").iterdir() if not HIDDEN.fullmatch(path.name)}
    assert listed["referral_service"] == package
    assert listed[""] == {"referral_service", "profiles", "tests"}


def test_the_top_level_holds_what_was_asked_for_and_what_the_ecosystem_expects() -> None:
    expected = {"referral_service", "profiles", "tests", "docker-compose.yml", "pyproject.toml"}
    beside = {"README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "Dockerfile", "requirements.lock", "docs"}
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".") and not HIDDEN.fullmatch(path.name)}
    assert found - beside - {"build", "dist", "referral-service.db"} == expected


def test_every_setting_is_listed() -> None:
    section = README.split("## Settings")[1].split("##")[0]
    assert set(re.findall(r"`REFERRAL_([A-Z_]+)` \|", section)) == KNOWN


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_the_curl_posts_a_referral_and_gets_the_answer_shown(app_client: FlaskClient) -> None:
    words = shlex.split(_block("curl"))
    body, address = words[words.index("-d") + 1], words[2]
    content_type = words[words.index("-H") + 1].removeprefix("Content-Type: ")
    answer = app_client.post(address.removeprefix("http://127.0.0.1:8080"), data=body, content_type=content_type)
    shown = README.split("The answer is")[1].split("```")[1]
    assert answer.status_code == 201
    assert {"Location", "ETag", "Link"} <= set(answer.headers.keys())
    assert json.loads(answer.data)["meta"]["tag"] == json.loads("[" + shown.split('"tag": [')[1].split("]}")[0] + "]")
