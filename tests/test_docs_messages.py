"""docs/messages.md is true: its steps, run as they stand, send, repeat, change and withdraw a referral by message."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from referral_service.fhir import package
from referral_service.fhir.messages import events
from tests.serving import Server

TEXT = (Path(__file__).parent.parent / "docs" / "messages.md").read_text("utf-8")
STEPS = re.findall(r"<!-- step -->\n```sh\n(.*?)\n```", TEXT, re.DOTALL)
BETWEEN = "-----8<-----"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(f"sqlite:///{tmp_path / 'referrals.db'}", tmp_path, {"REFERRAL_AUTH": "none"})
    running.start()
    yield running
    running.stop()


def _head(answer: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer)["entry"][0]["resource"]
    return found


@pytest.mark.skipif(which("curl") is None, reason="the steps use curl, which is not on this machine")
def test_the_steps_send_repeat_change_and_withdraw_a_referral(server: Server, tmp_path: Path) -> None:
    script = f"\necho '{BETWEEN}'\n".join(STEPS).replace("http://127.0.0.1:8080", server.base)
    ran = subprocess.run(
        ["bash", "-eu", "-c", script], cwd=tmp_path, env={**os.environ}, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    asked, sent, again, updated, withdrawn, bars = ran.stdout.split(f"{BETWEEN}\n")
    assert [one["resource"]["category"] for one in json.loads(asked)["entry"]] == ["consequence", "consequence"]
    cancelled, found = re.split(r"(?<=\})(?=\{)", withdrawn)
    answers = [_head(one) for one in (sent, again, updated, cancelled, bars)]
    assert [one["response"]["code"] for one in answers] == ["ok"] * 5
    shown = json.loads(re.findall(r"```json\n(.*?)\n```", TEXT, re.DOTALL)[0])
    assert {name: answers[0]["response"][name] for name in shown} == shown
    assert {json.dumps(one["focus"]) for one in answers[:4]} == {json.dumps(answers[0]["focus"])}
    assert [one["resource"]["status"] for one in json.loads(found)["entry"]] == ["cancelled"]
    assert answers[4]["response"]["identifier"] == "86e3371d-1c15-4862-9552-000000000001"


def test_every_event_and_every_code_of_the_table_is_named() -> None:
    assert [one for one in events() if f"`{one}`" not in TEXT] == []
    groups = package.definitions()["ConceptMap"]["message-act"]["group"]
    named = {one["code"] for group in groups for one in group["element"]}
    table = TEXT.split("## What a message asks for")[1].split("## A BaRS message")[0]
    assert named - {"I12", "servicerequest-request"} <= set(re.findall(r"`([^`]+)`", table))
