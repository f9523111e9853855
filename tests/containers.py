"""docker-compose.yml and the Dockerfile as an engine would read them, without an engine."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
COMPOSE = (ROOT / "docker-compose.yml").read_text("utf-8")
_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?::-([^}]*))?\})")


def compose(variables: dict[str, str] | None = None) -> dict[str, Any]:
    """The file with its variables filled in.

    https://github.com/compose-spec/compose-spec/blob/main/12-interpolation.md
    """
    given = variables or {}

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(one) for key, one in value.items()}
        if isinstance(value, list):
            return [filled(one) for one in value]
        if isinstance(value, str):
            return _VARIABLE.sub(lambda found: found[1] or given.get(found[2]) or found[3] or "", value)
        return value

    whole: dict[str, Any] = filled(yaml.safe_load(COMPOSE))
    return whole


def environment_of(service: dict[str, Any], variables: dict[str, str] | None = None) -> dict[str, str]:
    """What the container would find: a name without a value is passed on, or is not there."""
    given, named = variables or {}, service.get("environment", {})
    asked = {name: given.get(name) if value is None else str(value) for name, value in named.items()}
    return {name: value for name, value in asked.items() if value is not None}


def instructions(name: str) -> list[str]:
    """What follows a Dockerfile's word, in order, each in one line."""
    lines = re.sub(r"\\\n\s*", " ", DOCKERFILE).splitlines()
    return [line.removeprefix(f"{name} ").strip() for line in lines if line.startswith(f"{name} ")]


def image_environment() -> dict[str, str]:
    """The ENV of the image, but for the PATH, which is one of its own file system."""
    pairs = dict(word.split("=", 1) for line in instructions("ENV") for word in shlex.split(line))
    pairs.pop("PATH")
    return pairs


def healthcheck() -> list[str]:
    [line] = instructions("HEALTHCHECK")
    command: list[str] = json.loads(line.partition("CMD ")[2])
    return command


def default_command() -> list[str]:
    command: list[str] = json.loads(instructions("CMD")[-1])
    return command
