"""People: who is added, how they sign in, and how guessing is slowed down."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from argon2 import PasswordHasher

from referral_service.access import people
from referral_service.access.people import Entitled, PersonError, attempted, known_by_provider
from referral_service.referral import Queue
from referral_service.store import people as stored
from referral_service.store.engine import Store
from referral_service.worklist import Role

AT = datetime(2026, 3, 16, 9, 0, tzinfo=UTC)
PASSWORD = "wind over the moor"
COORDINATOR = Entitled("Ada Coordinator", Role.COORDINATOR, frozenset({Queue.ADULT}))
ISSUER = "https://idp.example"


def add(store: Store, name: str = "ada", entitled: Entitled = COORDINATOR, password: str = PASSWORD) -> None:
    with store.writing() as connection:
        people.add(connection, name, entitled, password, AT)


def row_of(store: Store, name: str = "ada") -> dict[str, object]:
    with store.reading() as connection:
        return dict(next(row for row in stored.everybody(connection) if row["user_name"] == name))


def guess(store: Store, minutes: float = 0, name: str = "ada", password: str = "not the password") -> bool:
    found = attempted(store, name, password, AT + timedelta(minutes=minutes))
    return found is not None and found.is_right


def test_a_password_is_kept_as_argon2id_alone(store: Store) -> None:
    add(store)
    row = row_of(store)
    assert str(row.pop("password_hash")).startswith("$argon2id$")
    assert PASSWORD not in str(row)


@pytest.mark.parametrize("typed", ["ada", "ADA", " ada "])
def test_a_user_name_is_the_same_in_whatever_case(store: Store, typed: str) -> None:
    add(store)
    assert guess(store, name=typed, password=PASSWORD)


def test_a_password_is_the_same_however_a_keyboard_composes_it(store: Store) -> None:
    add(store, password="Grüße aus Köln")
    assert guess(store, password="Gru\u0308ße aus Ko\u0308ln")


@pytest.mark.parametrize(("length", "fits"), [(11, False), (12, True), (256, True), (257, False)])
def test_a_password_has_12_to_256_characters_of_any_kind(store: Store, length: int, fits: bool) -> None:
    password = "".join(chr(32 + number * number * 7 % 89) for number in range(1, length + 1))
    if fits:
        add(store, password=password)
        assert guess(store, password=password)
    else:
        with pytest.raises(PersonError, match="12 to 256 characters"):
            add(store, password=password)


@pytest.mark.parametrize(
    "password",
    [
        "password1234",
        "Passw0rd!2024",
        "letmeinletmein",
        "qwertyuiop12",
        "123456789012",
        "a" * 256,
        "Summer2024!!",
        "ada.lovelace-1",
        "AdaCoordinator",
        "referral-service",
        "dystonia2026",
    ],
)
def test_a_password_that_is_guessed_early_is_refused(store: Store, password: str) -> None:
    with pytest.raises(PersonError, match="among the first that are guessed"):
        add(store, name="ada.lovelace", password=password)
    with store.reading() as connection:
        assert stored.everybody(connection) == []


@pytest.mark.parametrize(
    "password", [PASSWORD, "correct horse battery staple", "xkq9 vvtr 2lpa", "Grüße aus Köln am Rhein"]
)
def test_a_password_of_words_that_do_not_go_together_is_taken(store: Store, password: str) -> None:
    add(store, password=password)
    assert guess(store, password=password)


@pytest.mark.parametrize(
    ("entitled", "words"),
    [
        (Entitled("B", Role.COORDINATOR, frozenset()), "at least one queue"),
        (Entitled("B", Role.LEAD, frozenset({Queue.ADULT})), "nobody else is given any"),
        (Entitled(" ", Role.LEAD, frozenset()), "1 to 128 characters"),
        (Entitled("ada coordinator", Role.LEAD, frozenset()), "could not be told apart"),
    ],
)
def test_who_cannot_be_added_is_told_why(store: Store, entitled: Entitled, words: str) -> None:
    add(store)
    with pytest.raises(PersonError, match=words):
        add(store, "bee", entitled)


def test_a_hash_of_less_effort_is_made_anew_at_the_next_sign_in(store: Store) -> None:
    add(store)
    with store.writing() as connection:
        weak = PasswordHasher(time_cost=1, memory_cost=8192).hash(PASSWORD)
        stored.change(connection, str(row_of(store)["id"]), password_hash=weak)
    assert guess(store, password=PASSWORD)
    kept = str(row_of(store)["password_hash"])
    assert kept != weak
    assert not PasswordHasher(parallelism=1).check_needs_rehash(kept)


def test_five_failures_lock_for_one_minute_and_each_further_one_for_longer(store: Store) -> None:
    add(store)
    at, locks = 0.0, []
    for _ in range(10):
        assert not guess(store, at)
        until = row_of(store)["locked_until"]
        locks.append(0 if until is None else (datetime.fromisoformat(str(until)) - AT).total_seconds() / 60 - at)
        at += locks[-1]
    assert locks == [0, 0, 0, 0, 1, 2, 4, 8, 15, 15]


def test_the_attempt_that_locks_says_so_and_no_other(store: Store) -> None:
    add(store)
    found = [attempted(store, "ada", "not the password", AT) for _ in range(6)]
    assert [one and (one.row["user_name"], one.is_right, one.locks) for one in found] == [
        *[("ada", False, False)] * 4,
        ("ada", False, True),
        None,
    ]


def test_while_locked_the_right_password_opens_nothing_and_nothing_is_written(store: Store) -> None:
    add(store)
    for _ in range(5):
        guess(store)
    before = row_of(store)
    assert not guess(store, 0.99, password=PASSWORD)
    assert row_of(store) == before
    assert guess(store, 1, password=PASSWORD)
    assert (row_of(store)["failures"], row_of(store)["locked_until"]) == (0, None)


def test_many_guesses_at_once_are_no_more_than_one_after_another(store: Store) -> None:
    add(store)
    with ThreadPoolExecutor(12) as pool:
        assert not any(pool.map(lambda _: guess(store), range(12)))
    assert row_of(store)["failures"] == 5


def test_of_names_that_nobody_has_nothing_is_written(store: Store) -> None:
    add(store)
    before = row_of(store)
    assert not any(guess(store, name="nobody", password=PASSWORD) for _ in range(6))
    with store.reading() as connection:
        assert [dict(row) for row in stored.everybody(connection)] == [before]


def test_a_name_that_nobody_has_costs_the_work_of_one_that_somebody_has(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store)
    verified: list[str] = []
    verify = PasswordHasher.verify

    def counting(self: PasswordHasher, kept: str | bytes, password: str | bytes) -> bool:
        verified.append(str(kept).rpartition("$")[0].rpartition("$")[0])
        return bool(verify(self, kept, password))

    monkeypatch.setattr(PasswordHasher, "verify", counting)
    for _ in range(6):
        guess(store)
    known, verified[:] = list(verified), []
    for _ in range(6):
        guess(store, name="nobody")
    assert (len(known), verified) == (6, known)


def test_whoever_is_disabled_signs_in_no_more_until_added_anew(store: Store) -> None:
    add(store)
    with store.writing() as connection:
        session_id = people.begin_session(connection, str(row_of(store)["id"]), AT)
        people.disable(connection, "Ada", AT)
    with store.reading() as connection:
        assert stored.of_session(connection, session_id, AT) is None
    assert not guess(store, password=PASSWORD)
    identity = row_of(store)["id"]
    add(store, entitled=Entitled("Ada Lead", Role.LEAD, frozenset()), password="another long one")
    assert guess(store, password="another long one")
    row = row_of(store)
    assert (row["id"], row["shown_name"], row["role"], row["queues"]) == (identity, "Ada Lead", "lead", "")


def test_nobody_is_added_over_somebody_or_disabled_twice(store: Store) -> None:
    add(store)
    with pytest.raises(PersonError, match="disable them first"):
        add(store)
    with store.writing() as connection:
        people.disable(connection, "ada", AT)
        with pytest.raises(PersonError, match="nobody of this user name"):
            people.disable(connection, "ada", AT)


def test_a_session_ends_after_twelve_hours_whatever_is_done_in_it(store: Store) -> None:
    add(store)
    with store.writing() as connection:
        session_id = people.begin_session(connection, str(row_of(store)["id"]), AT)
    ends = AT + timedelta(hours=12)
    with store.reading() as connection:
        assert stored.of_session(connection, session_id, ends - timedelta(milliseconds=1)) is not None
        assert stored.of_session(connection, session_id, ends) is None


def by_provider(store: Store, *values: str, name: str = "Bea Example", subject: str = "s-1") -> dict[str, object]:
    with store.writing() as connection:
        return dict(known_by_provider(connection, ISSUER, subject, name, values, AT))


def test_a_provider_makes_a_person_once_and_says_their_role_each_time(store: Store) -> None:
    first = by_provider(store, "offline_access", "coordinator", "pediatric-neuromotor")
    assert (first["role"], first["queues"]) == ("coordinator", "pediatric-neuromotor")
    second = by_provider(store, "lead", name="Bea Renamed")
    assert (second["id"], second["role"], second["queues"]) == (first["id"], "lead", "")
    with store.reading() as connection:
        assert [row["shown_name"] for row in stored.everybody(connection)] == ["Bea Renamed"]


@pytest.mark.parametrize(
    ("values", "words"), [((), "names no role"), (("admin",), "names no role"), (("coordinator",), "names no queue")]
)
def test_a_provider_that_names_no_role_or_queue_lets_nobody_in(
    store: Store, values: tuple[str, ...], words: str
) -> None:
    by_provider(store, "lead")
    with pytest.raises(PersonError, match=words):
        by_provider(store, *values)


def test_whoever_was_disabled_here_is_not_let_in_by_the_provider(store: Store) -> None:
    row = by_provider(store, "lead")
    with store.writing() as connection:
        people.disable(connection, str(row["id"]), AT)
    with pytest.raises(PersonError, match="no longer"):
        by_provider(store, "lead")


@pytest.mark.parametrize("name", ["Bea Example", "Änne Øster"])
def test_two_people_of_one_name_are_told_apart(store: Store, name: str) -> None:
    by_provider(store, "lead", name=name)
    assert by_provider(store, "auditor", name=name, subject="s-2")["shown_name"] == f"{name} (2)"


def test_two_people_of_one_name_who_come_at_once_are_told_apart(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(lambda number: by_provider(store, "lead", subject=f"s-{number}"), range(8)))
    assert sorted(str(one["shown_name"]) for one in added) == [
        "Bea Example",
        *(f"Bea Example ({number})" for number in range(2, 9)),
    ]


def test_the_caller_is_the_person_with_the_queues_of_the_role(store: Store) -> None:
    add(store)
    coordinator = people.caller_of(row_of(store)).actor
    lead = people.caller_of(by_provider(store, "lead")).actor
    auditor = people.caller_of(by_provider(store, "auditor", subject="s-2")).actor
    seen = {
        one.name: [queue.value for queue in Queue if one.sees(queue, "ehr")] for one in (coordinator, lead, auditor)
    }
    assert seen == {
        "Ada Coordinator": ["adult-movement-disorders"],
        "Bea Example": [queue.value for queue in Queue],
        "Bea Example (2)": [],
    }
    assert (lead.queues, auditor.queues) == (frozenset(Queue), frozenset())
