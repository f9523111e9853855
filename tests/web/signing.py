"""Somebody of each role, and a browser that signs in and sends forms as pages make them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import unescape

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from referral_service.access import people
from referral_service.access.people import Entitled
from referral_service.referral import Queue
from referral_service.store.engine import Store
from referral_service.worklist import Role

KEY = "a key that is only for the tests, and long enough"
PASSWORD = "wind over the moor"
USERS = ("coordinator", "lead", "integrator", "auditor")
QUEUES = frozenset({Queue.ADULT, Queue.REVIEW})
OURS = {"Sec-Fetch-Site": "same-origin"}


def add_users(store: Store) -> None:
    """One a role; the coordinator has the queues of :data:`QUEUES`."""
    with store.writing() as connection:
        for user in USERS:
            queues = QUEUES if user == "coordinator" else frozenset()
            entitled = Entitled(f"Sample {user}", Role(user), queues)
            people.add(connection, user, entitled, PASSWORD, datetime.now(UTC))


def token_on(client: FlaskClient, page: str) -> str:
    """The token that forms on a page carry."""
    found = re.search(r'name="token" value="([^"]+)"', client.get(page).text)
    assert found is not None
    return found[1]


def form(client: FlaskClient, path: str, *, page: str = "/sign-in", **fields: str) -> TestResponse:
    """Sends a form that was made on ``page``, with what stands hidden in it."""
    hidden = re.findall(r'type="hidden" name="(token|next)" value="([^"]*)"', client.get(page).text)
    return client.post(path, data={**{name: unescape(value) for name, value in hidden}, **fields}, headers=OURS)


def sign_in(client: FlaskClient, user: str) -> TestResponse:
    answer = form(client, "/sign-in", user=user, password=PASSWORD)
    assert answer.status_code == 303
    return answer
