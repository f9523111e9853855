"""Contacts are told in turn, again and again while they cannot be reached, until somebody acknowledges.

Real mail server, real web server, real database; only the clock is the test's own.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from referral_service.app import site_of
from referral_service.intake import Incoming, Site, receive
from referral_service.policy import Contact, Policy, load_policy
from referral_service.settings import Mail, Settings, SettingsError
from referral_service.store import alerts, tables
from referral_service.store.engine import Store
from referral_service.telling import Teller, check_ways
from tests.receivers import Mailbox, Receiver, status
from tests.shapes import patient, referral

NOON = datetime(2026, 3, 16, 12, 0, tzinfo=UTC)
PUBLIC_URL = "https://referrals.hospital.example"
RED = "Acute dystonic reaction after metoclopramide"
PATIENT = ("Vellum", "Ada", "1971", "MRN-4711", "R-77", "metoclopramide", "dystonic", "Sparrow")
SECRET = "token-8814"


@dataclass
class Duty:
    """A site with a pager first and a mailbox second, and a clock that stands until it is moved."""

    store: Store
    pager: Receiver
    box: Mailbox
    at: datetime = NOON

    @property
    def policy(self) -> Policy:
        shipped = load_policy()
        contacts = (
            Contact("Pager", webhook=f"{self.pager.origin}/{SECRET}"),
            Contact("Duty neurologist", email="duty@hospital.example"),
        )
        return replace(shipped, alerts=replace(shipped.alerts, escalate_minutes=10, contacts=contacts))

    @property
    def settings(self) -> Settings:
        mail = Mail("127.0.0.1", self.box.port, "none", "referrals@hospital.example")
        outbound = frozenset({self.pager.origin})
        return Settings("", None, "127.0.0.1", 8080, PUBLIC_URL, "none", demo=False, outbound=outbound, mail=mail)

    @property
    def site(self) -> Site:
        return site_of(self.store, self.policy, PUBLIC_URL)

    def clock(self) -> datetime:
        return self.at

    def arrives(self, body: Any) -> str:
        """The referral's id, empty when it was not taken."""
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        received = receive(self.site, Incoming("north", "create", "r-1", text, self.at), "ServiceRequest")
        return next((answer.id or "" for answer in received.answers), "")

    def works(self, policy: Policy | None = None) -> int:
        """How many messages a worker takes in hand now."""
        teller = Teller(self.store, policy or self.policy, self.settings, self.clock, chance=lambda: 1.0)
        taken = 0
        while teller.step():
            taken += 1
        return taken

    def told(self) -> tuple[int, int]:
        return len(self.pager.calls), len(self.box.letters)

    def alert(self) -> Any:
        with self.store.reading() as connection:
            return connection.execute(select(tables.alert)).mappings().one()

    def notices(self) -> list[tuple[Any, ...]]:
        notice = tables.notice
        columns = (notice.c.contact, notice.c.sent_at, notice.c.due, notice.c.attempts, notice.c.fault)
        with self.store.reading() as connection:
            return [tuple(row) for row in connection.execute(select(*columns).order_by(notice.c.step))]


@pytest.fixture
def duty(store: Store) -> Duty:
    return Duty(store, Receiver(), Mailbox())


def a_patient_with_a_red_flag(**more: Any) -> dict[str, Any]:
    who = patient(
        "1971-06-13",
        id="p",
        name=[{"family": "Vellum", "given": ["Ada"]}],
        identifier=[{"system": "urn:example:mrn", "value": "MRN-4711"}],
    )
    return referral(
        "R-77", RED, subject={"reference": "#p"}, contained=[who], requester={"display": "Dr Sparrow"}, **more
    )


def test_the_first_contact_is_told_at_once_and_once(duty: Duty) -> None:
    identity = duty.arrives(a_patient_with_a_red_flag())
    with duty.pager.open():
        assert (duty.works(), duty.works()) == (1, 0)
    (call,) = duty.pager.calls
    alert = duty.alert()["id"]
    assert call.path == f"/{SECRET}"
    assert call.body == {
        "alert": alert,
        "step": 0,
        "kind": "red-flag",
        "about": "referral",
        "id": identity,
        "queue": "Adult movement disorders",
        "raised": "2026-03-16T12:00:00.000Z",
        "link": f"{PUBLIC_URL}/referrals/{identity}",
    }
    assert (call.headers["Content-Type"], call.headers["Idempotency-Key"]) == ("application/json", f"{alert}.0")
    assert duty.notices()[0] == ("Pager", "2026-03-16T12:00:00.000Z", None, 1, None)


def test_the_next_contact_is_told_after_the_minutes_of_the_policy(duty: Duty) -> None:
    identity = duty.arrives(a_patient_with_a_red_flag(priority="routine"))
    with duty.pager.open(), duty.box.open():
        duty.works()
        duty.at = NOON + timedelta(minutes=9, seconds=59)
        early = duty.works()
        duty.at = NOON + timedelta(minutes=10)
        assert (early, duty.works(), duty.told()) == (0, 1, (1, 1))
    (letter,) = duty.box.letters
    assert letter["Subject"] == f"Red flag: referral {identity}"
    assert letter["Message-ID"] == f"<{duty.alert()['id']}.1@hospital.example>"
    assert letter.get_content().splitlines() == [
        "Red flag, in Adult movement disorders.",
        "",
        f"Referral {identity}",
        "Received 2026-03-16 12:00 (Europe/London)",
        f"{PUBLIC_URL}/referrals/{identity}",
        "",
        "Nobody told before you has acknowledged this. Acknowledge it on that page. Nobody is told after you.",
        duty.policy.notice,
    ]


def test_nobody_further_is_told_once_it_is_acknowledged(duty: Duty) -> None:
    duty.arrives(a_patient_with_a_red_flag())
    with duty.pager.open(), duty.box.open():
        duty.works()
        with duty.store.writing() as connection:
            assert alerts.acknowledge(connection, duty.alert()["id"], "local", duty.at)
        duty.at = NOON + timedelta(days=1)
        assert (duty.works(), duty.told()) == (0, (1, 0))


def test_who_acknowledges_first_stands_there(duty: Duty) -> None:
    duty.arrives(a_patient_with_a_red_flag())
    with duty.store.writing() as connection:
        done = [
            alerts.acknowledge(connection, duty.alert()["id"], who, NOON + timedelta(minutes=minute))
            for minute, who in enumerate(("first", "second"))
        ]
    alert = duty.alert()
    assert (done, alert["acknowledged_by"], alert["acknowledged_at"]) == (
        [True, False],
        "first",
        "2026-03-16T12:00:00.000Z",
    )


def test_a_contact_that_is_down_is_told_when_it_comes_back(duty: Duty) -> None:
    duty.arrives(a_patient_with_a_red_flag())
    pauses = []
    for _ in range(4):
        assert duty.works() == 1
        due = datetime.fromisoformat(duty.notices()[0][2])
        pauses.append((due - duty.at).total_seconds())
        duty.at = due
    assert (pauses, duty.notices()[0][3:]) == ([1, 2, 4, 8], (4, "connection"))
    duty.pager.answer = status(503)
    with duty.pager.open():
        duty.works()
        assert duty.notices()[0][3:] == (5, "http-503")
        duty.pager.answer = None
        duty.at += timedelta(seconds=16)
        duty.works()
    assert (duty.notices()[0], len(duty.pager.calls)) == (("Pager", "2026-03-16T12:00:31.000Z", None, 6, None), 2)


def test_the_next_contact_is_told_although_the_first_is_down(duty: Duty) -> None:
    duty.arrives(a_patient_with_a_red_flag())
    with duty.box.open():
        duty.works()
        duty.at = NOON + timedelta(minutes=10)
        duty.works()
    assert duty.told() == (0, 1)


@pytest.mark.parametrize("number", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_and_counts_as_not_told(duty: Duty, number: int) -> None:
    duty.arrives(a_patient_with_a_red_flag())
    elsewhere = Receiver()
    duty.pager.answer = status(number, Location=f"{elsewhere.origin}/")
    with duty.pager.open(), elsewhere.open():
        duty.works()
    assert (elsewhere.calls, duty.notices()[0][3:]) == ([], (1, f"http-{number}"))


def test_a_worker_that_died_is_followed_by_another_when_its_lease_ends(duty: Duty) -> None:
    duty.arrives(a_patient_with_a_red_flag())
    died = Teller(duty.store, duty.policy, duty.settings, _dies_after(duty.clock, 1))
    with pytest.raises(KeyboardInterrupt), duty.pager.open():
        died.step()
    with duty.pager.open():
        duty.at = NOON + timedelta(seconds=59)
        early = duty.works()
        duty.at = NOON + timedelta(seconds=60)
        assert (early, duty.works()) == (0, 1)
    keys = [call.headers["Idempotency-Key"] for call in duty.pager.calls]
    assert (len(keys), len(set(keys))) == (2, 1)


def _dies_after(clock: Callable[[], datetime], times: int) -> Callable[[], datetime]:
    """A clock that can be read so often, and then everything ends: told, but never written down."""
    left = [None] * times

    def read() -> datetime:
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return clock()

    return read


def test_words_that_were_not_taken_are_told_with_a_link_to_them(duty: Duty) -> None:
    assert duty.arrives(b'{"resourceType": "ServiceRequest", "note": "status dystonicus, Ada Vellum"') == ""
    with duty.pager.open(), duty.box.open():
        duty.works()
        duty.at = NOON + timedelta(minutes=10)
        duty.works()
    received = duty.alert()["received_id"]
    body = duty.pager.calls[0].body
    assert (body["about"], body["id"], body["queue"]) == ("not-taken", received, None)
    assert body["link"] == f"{PUBLIC_URL}/not-taken/{received}"
    assert duty.box.letters[0]["Subject"] == f"Red flag: not taken {received}"
    assert duty.box.letters[0].get_content().startswith("Red flag, in what was not taken.")


def test_stat_of_a_sender_is_told_as_that(duty: Duty) -> None:
    duty.arrives(referral(priority="stat"))
    with duty.pager.open():
        duty.works()
    assert duty.pager.calls[0].body["kind"] == "stat"


def test_nothing_of_the_patient_is_in_message_log_or_database(duty: Duty, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    duty.arrives(a_patient_with_a_red_flag(priority="stat"))
    duty.box.refusal = "554 Ada Vellum is not known here"
    with duty.pager.open(), duty.box.open():
        duty.works()
        duty.at = NOON + timedelta(minutes=10)
        duty.works()
        duty.box.refusal = None
        duty.at = NOON + timedelta(minutes=20)
        duty.works()
    assert duty.told() == (2, 2)
    said = [json.dumps([call.body, call.headers]) for call in duty.pager.calls]
    said += [letter.as_string() + letter.get_content() for letter in duty.box.letters]
    said += [str(duty.notices()), *(line for line in _ours(caplog))]
    assert [word for word in (*PATIENT, SECRET) if any(word in text for text in said)] == []
    assert [line for line in _ours(caplog) if "fault=smtp-554" in line] != []


def _ours(caplog: pytest.LogCaptureFixture) -> list[str]:
    """All that is logged, but for what the receiving servers of the tests log themselves."""
    return [record.getMessage() for record in caplog.records if not record.name.startswith(("mail.", "asyncio"))]


def test_a_contact_that_has_left_the_policy_is_passed_over(duty: Duty, caplog: pytest.LogCaptureFixture) -> None:
    duty.arrives(a_patient_with_a_red_flag())
    alone = replace(duty.policy, alerts=replace(duty.policy.alerts, contacts=duty.policy.alerts.contacts[:1]))
    duty.at = NOON + timedelta(minutes=10)
    with duty.pager.open():
        assert duty.works(alone) == 2
    assert (duty.notices()[1], duty.told()) == ((None, None, None, 1, None), (1, 0))
    assert f"alert_without_contact alert={duty.alert()['id']} step=1" in caplog.messages


def test_an_alert_raised_without_contacts_waits_for_no_worker(store: Store, duty: Duty) -> None:
    receive(
        site_of(store, load_policy(), PUBLIC_URL),
        Incoming("north", "create", "r-1", json.dumps(a_patient_with_a_red_flag()).encode(), NOON),
        "ServiceRequest",
    )
    assert (duty.works(), duty.alert()["kind"]) == (0, "red-flag")


# What is checked at start


def test_contacts_that_can_be_reached_are_fine(duty: Duty) -> None:
    check_ways(duty.policy, duty.settings)


def test_mail_without_a_mail_server_is_refused(duty: Duty) -> None:
    words = r"^alerts.contacts\[1\] of the policy is told by mail, but REFERRAL_SMTP_HOST is not set$"
    with pytest.raises(SettingsError, match=words):
        check_ways(duty.policy, replace(duty.settings, mail=None))


def test_an_address_that_may_not_be_called_is_refused_and_only_its_origin_is_shown(duty: Duty) -> None:
    with pytest.raises(SettingsError) as caught:
        check_ways(duty.policy, replace(duty.settings, outbound=frozenset({"https://pager.example:443"})))
    assert str(caught.value) == (
        "alerts.contacts[0] of the policy is told at an address that may not be called: "
        f"{duty.pager.origin} does not stand in REFERRAL_OUTBOUND"
    )
