"""Received JSON laid out for reading, without passing it through a model that would change it.

A key that stands twice, the digits of a number and every escape stay as they were sent: often they are the very
reason why the text was refused.
"""

from __future__ import annotations

import json
import re

_SIGN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_STEP = "  "
_DEEPEST = 40


def indented(text: str) -> str | None:
    """The same JSON, one member or item a line; None when the text is no JSON."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    signs = _SIGN.findall(text)
    written: list[str] = []
    depth = 0
    for at, sign in enumerate(signs):
        before = signs[at - 1] if at else ""
        if sign in "}]":
            depth -= 1
            written.append(sign if before in "{[" else f"\n{_STEP * min(depth, _DEEPEST)}{sign}")
            continue
        if before and before in "{[,":
            written.append(f"\n{_STEP * min(depth, _DEEPEST)}")
        written.append(": " if sign == ":" else sign)
        depth += sign in "{["
    return "".join(written)
