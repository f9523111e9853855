"""Published resources that nobody here wrote: each is decided, no input brings the service down.

The folder is named by REFERRAL_TEST_CORPUS; nothing of it is part of the project.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from referral_service.cli import main
from referral_service.previews import decide_files

FOLDER = os.environ.get("REFERRAL_TEST_CORPUS")
pytestmark = pytest.mark.skipif(not FOLDER, reason="REFERRAL_TEST_CORPUS names no folder of published resources")


def test_every_published_resource_is_decided_with_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    files = sorted(Path(FOLDER or ".").rglob("*.json"))
    assert files
    rows = decide_files(files, None, datetime.now(UTC))
    assert {row["file"] for row in rows} == {str(file) for file in files}
    for row in rows:
        errors = [issue for issue in row["issues"] if issue["severity"] in ("error", "fatal")]
        assert bool(errors) == (row["disposition"] in ("refused", "rejected")), row
        assert (row["queue"] is not None) == (row["disposition"] in ("review", "routed")), row
    with capsys.disabled():
        print("\npublished resources:", dict(Counter(row["disposition"] for row in rows)))


def test_the_command_line_decides_them_all_and_says_so() -> None:
    files = sorted(str(path) for path in Path(FOLDER or ".").rglob("*.json"))
    answer = CliRunner().invoke(main, ["preview", "--json", *files])
    assert (answer.exit_code, answer.exception) == (0, None)
    assert {json.loads(line)["file"] for line in answer.output.splitlines()} == set(files)
