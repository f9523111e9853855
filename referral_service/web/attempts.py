"""Signing in with a password takes a core for a moment, and 64 MiB: few attempts at once, and few a minute."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from threading import BoundedSemaphore
from typing import ParamSpec, TypeVar

from flask import render_template, request
from werkzeug.wrappers import Response

from referral_service.web.http import limiter

AT_ONCE = 2
"""Of one process; fewer than its threads, so that others are served whoever signs in."""
TOO_MANY_HERE = "Too many people have tried to sign in from your network. Wait a minute, then try again."
TOO_MANY_NOW = "Many people are signing in at this moment. Try again in a second."

_turns = BoundedSemaphore(AT_ONCE)
Given = ParamSpec("Given")
Answer = TypeVar("Answer")


def bounded(view: Callable[Given, Answer]) -> Callable[Given, Answer | Response]:
    """The view, or 429 before anything is looked at: no wait for a turn, which would take a thread from others."""

    @wraps(view)
    def attempt(*args: Given.args, **named: Given.kwargs) -> Answer | Response:
        if not limiter().takes_attempt(request.remote_addr or ""):
            return _too_many(TOO_MANY_HERE, 60)
        if not _turns.acquire(blocking=False):
            return _too_many(TOO_MANY_NOW, 1)
        try:
            return view(*args, **named)
        finally:
            _turns.release()

    return attempt


def _too_many(words: str, seconds: int) -> Response:
    return Response(
        render_template("fault.html", words=words), 429, {"Retry-After": str(seconds)}, mimetype="text/html"
    )
