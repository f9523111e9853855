"""What the policy keeps for some days only is removed then and not before, and never what must stay."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import DatabaseError

from referral_service.intake import Incoming, Site, receive
from referral_service.policy import Retention
from referral_service.retention import EVERY, Remover
from referral_service.sealing import Sealer, verify
from referral_service.store import attached, audit, deliveries, leases, ledger, retention, tables
from referral_service.store.engine import Store, instant
from referral_service.store.writes import insert_all
from tests.shapes import Caller, bundle, entry, patient, referral
from tests.store.test_audit import AT, add, tamper

DAY = timedelta(days=1)
NOTHING_LEFT = 10_000


@pytest.fixture
def caller(app_client: FlaskClient, site: Site) -> Caller:
    return Caller(app_client, site)


def remove(site: Site, at: datetime, **days: int) -> None:
    """All that there is to remove at this moment, by a worker that has not rested since it was last at it."""
    with site.store.writing() as connection:
        connection.execute(tables.chore.delete())
    remover = Remover(site.store, replace(site.policy, retention=Retention(**days)), site.host, lambda: at)
    for _ in range(NOTHING_LEFT):
        if not remover.step():
            return
    raise AssertionError("there is no end to it")


def later(days: float) -> datetime:
    return datetime.now(UTC) + days * DAY


def column(store: Store, query: Any) -> list[Any]:
    with store.reading() as connection:
        return list(connection.execute(query).scalars())


def bodies(site: Site) -> dict[str, bytes | None]:
    """Every text received that is kept, by the id of its request."""
    received = tables.received
    with site.store.reading() as connection:
        found = connection.execute(select(received.c.request_id, received.c.body)).all()
    return {row.request_id: row.body and bytes(row.body) for row in found}


def send(site: Site, name: str, body: Any, door: str = "ServiceRequest") -> None:
    text_ = body if isinstance(body, bytes) else json.dumps(body).encode()
    receive(site, Incoming("local", "test", name, text_, AT), door)


def kept(site: Site) -> set[str]:
    return {name for name, body in bodies(site).items() if body is not None}


def test_texts_of_what_was_not_taken_go_after_their_days_and_the_ledger_stays(site: Site) -> None:
    send(site, "taken", referral("A-1"))
    send(site, "refused", b"not json")
    send(site, "rejected", referral("A-2", status="draft"))
    both = entry(referral("A-3")), entry(referral("A-4", status="draft"))
    send(site, "in part", bundle(*both, kind="batch"), "Bundle")
    send(site, "conflict", referral("A-1", reason="Blepharospasm"))
    send(site, "data", patient(id="p"), "Patient")
    before, sums = bodies(site), _sums(site)
    remove(site, AT + 90 * DAY - timedelta(seconds=1), rejected_text_days=90)
    assert bodies(site) == before
    remove(site, AT + 90 * DAY, rejected_text_days=90)
    assert kept(site) == {"taken", "in part", "data"}
    assert (_sums(site), len(bodies(site))) == (sums, len(before))
    query = select(tables.audit_event.c.content).where(tables.audit_event.c.action == "D")
    told = [json.loads(content)["outcomeDesc"] for content in column(site.store, query)]
    assert told == ["removed by policy: 3 of rejected-texts after 90 days"]


def _sums(site: Site) -> dict[str, int]:
    with site.store.reading() as connection:
        return ledger.sums(connection)


def test_the_text_of_what_a_coordinator_has_taken_in_stays(caller: Caller) -> None:
    caller.create(referral("A-2", status="draft"))
    with caller.site.store.writing() as connection:
        connection.execute(text("UPDATE ledger SET taken_from = state, state = 'review'"))
    remove(caller.site, later(400), rejected_text_days=90)
    assert [body is not None for body in bodies(caller.site).values()] == [True]


def test_without_days_everything_is_kept_for_ever(caller: Caller) -> None:
    caller.create(b"not json")  # type: ignore[arg-type]
    _ended(caller)
    before = _rows(caller.site.store)
    remove(caller.site, later(100_000))
    assert _rows(caller.site.store) == before


def _rows(store: Store) -> dict[str, list[Any]]:
    with store.reading() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in tables.metadata.sorted_tables
            if table not in (tables.chore, tables.audit_event, tables.audit_entity, tables.quota)
        }


def _ended(caller: Caller, number: str = "A-1") -> str:
    """A referral that was corrected twice and whose Task has ended, of which nobody is to be told; its id."""
    made = caller.create(referral(number)).get_json(force=True)
    for note in ("First.", "Second."):
        now_ = caller.read(f"ServiceRequest/{made['id']}")
        corrected = now_ | {"note": [{"text": note}]}
        answer = caller.put(
            f"ServiceRequest/{made['id']}", corrected, If_Match=f'W/"{now_["meta"]["versionId"]}"', X_Request_Id=note
        )
        assert answer.status_code == 200, answer.text
    for status in ("accepted", "in-progress", "completed"):
        assert caller.move(caller.task_of(made["id"]), status=status).status_code == 200
    with caller.site.store.writing() as connection:
        connection.execute(tables.outbox.delete())
    return str(made["id"])


def versions(caller: Caller, address: str) -> list[int]:
    found = caller.read(f"{address}/_history")["entry"]
    return [int(one["resource"]["meta"]["versionId"]) for one in found]


def test_old_versions_of_an_ended_referral_go_and_what_must_stay_stays(caller: Caller) -> None:
    ended, going = _ended(caller), caller.create(referral("A-9")).get_json(force=True)["id"]
    assert caller.move(caller.task_of(going), status="accepted").status_code == 200
    task = caller.task_of(ended)
    original = caller.get(f"ServiceRequest/{ended}/$original").data
    first_text = json.dumps(referral("A-1")).encode()
    timeline = column(caller.site.store, select(func.count()).select_from(tables.status_change))
    remove(caller.site, later(364), history_days=365)
    assert versions(caller, f"ServiceRequest/{ended}") == [3, 2, 1]
    remove(caller.site, later(366), history_days=365)
    assert versions(caller, f"ServiceRequest/{ended}") == [3]
    assert versions(caller, f"Task/{task['id']}") == [6, 5]
    assert caller.read(f"Task/{task['id']}") == task
    assert caller.get(f"ServiceRequest/{ended}/$original").data == original
    assert versions(caller, f"Task/{caller.task_of(going)['id']}") == [2, 1]
    assert column(caller.site.store, select(func.count()).select_from(tables.status_change)) == timeline
    first, newest = tables.ledger.c.received_id, tables.service_request.c.received_id
    needed = {*column(caller.site.store, select(first)), *column(caller.site.store, select(newest))}
    with_text = select(tables.received.c.id).where(tables.received.c.body.is_not(None))
    assert needed <= set(column(caller.site.store, with_text))
    with caller.site.store.reading() as connection:
        texts = [body for _, body in attached.texts(connection, "local", ended)]
        current, told = deliveries.content_of(connection, "ServiceRequest", ended, 1)
    assert (texts, told) == ([first_text, original], current["content"])
    assert bodies(caller.site)["First."] is None
    assert bodies(caller.site)["Second."] is not None


def test_an_end_can_be_taken_back_after_its_history_has_gone(caller: Caller) -> None:
    ended = _ended(caller)
    remove(caller.site, later(400), history_days=365)
    task = caller.task_of(ended)
    assert caller.undo(task["id"]).status_code == 200
    assert caller.task_of(ended)["status"] == "in-progress"


def test_old_versions_of_a_patient_go_when_no_referral_of_theirs_is_open(caller: Caller) -> None:
    for born in ("1970-05-01", "1970-05-02"):
        assert caller.put("Patient/p", patient(born, id="p")).status_code in (200, 201)
    about = {"subject": {"reference": "Patient/p"}}
    made = [caller.create(referral(number, **about)).get_json(force=True)["id"] for number in ("A-1", "A-2")]
    for _ in range(2):
        remove(caller.site, later(400), history_days=365)
        assert versions(caller, "Patient/p") == [2, 1]
        task = caller.task_of(made.pop())
        for status in ("accepted", "in-progress", "completed"):
            assert caller.move(task, status=status).status_code == 200
            task = caller.read(f"Task/{task['id']}")
    remove(caller.site, later(400), history_days=365)
    assert versions(caller, "Patient/p") == [2]


def test_history_that_somebody_has_yet_to_be_told_of_stays(caller: Caller) -> None:
    ended = _ended(caller)
    _delivered(caller.site.store, caller.task_of(ended)["id"], ended, ["dead"])
    remove(caller.site, later(400), history_days=365)
    assert versions(caller, f"ServiceRequest/{ended}") == [3, 2, 1]
    assert versions(caller, f"Task/{caller.task_of(ended)['id']}") == [6, 5, 4, 3, 2, 1]
    with caller.site.store.writing() as connection:
        connection.execute(tables.outbox.delete())
        connection.execute(tables.delivery.update().values(state="superseded"))
    remove(caller.site, later(400), history_days=365)
    assert versions(caller, f"ServiceRequest/{ended}") == [3]
    assert versions(caller, f"Task/{caller.task_of(ended)['id']}") == [6, 5]


def _delivered(store: Store, task_id: str, referral_id: str, states: list[str], receiver: str = "s") -> None:
    about = {"client": "local", "type": "Task", "resource_id": task_id, "version": 1, "referral_id": referral_id}
    told = {"kind": "subscription", "receiver": receiver, "at": instant(AT), "give_up": instant(AT), "attempts": 0}
    with store.writing() as connection:
        for number, state in enumerate(states, start=1):
            ended = None if state == "waiting" else instant(AT)
            row = {"number": number, "state": state, "failures": 0, "ended_at": ended}
            connection.execute(insert(tables.delivery).values(**about, **told, **row))
        connection.execute(insert(tables.outbox).values(**_noted(about), at=instant(AT)))


def _noted(about: dict[str, Any]) -> dict[str, Any]:
    return {name: about[name] for name in ("client", "type", "version")} | {"resource_id": about["referral_id"]}


@pytest.mark.parametrize(
    ("states", "left"),
    [
        (["delivered", "superseded", "dropped", "delivered"], [4]),
        (["delivered", "dead", "delivered"], [1, 2, 3]),
        (["delivered", "waiting"], [1, 2]),
        (["delivered"], [1]),
    ],
)
def test_deliveries_that_have_ended_go_but_the_last_of_a_receiver_and_what_is_open(
    site: Site, states: list[str], left: list[int]
) -> None:
    _delivered(site.store, "t", "r", states)
    numbers = select(tables.delivery.c.number).order_by(tables.delivery.c.number)
    remove(site, AT + 364 * DAY, delivery_days=365)
    assert column(site.store, numbers) == [*range(1, len(states) + 1)]
    remove(site, AT + 365 * DAY, delivery_days=365)
    assert column(site.store, numbers) == left


def test_a_request_key_goes_when_all_that_came_under_it_has_ended_and_placer_identifiers_stay(caller: Caller) -> None:
    kinds = select(tables.request_key.c.kind).order_by(tables.request_key.c.kind)
    made = caller.create(referral("A-1"), Idempotency_Key="key-1").get_json(force=True)
    remove(caller.site, later(400), request_key_days=365)
    assert column(caller.site.store, kinds) == ["idempotency", "placer"]
    task = caller.task_of(made["id"])
    for status in ("accepted", "in-progress", "completed"):
        assert caller.move(caller.task_of(made["id"]), status=status).status_code == 200
    remove(caller.site, later(364), request_key_days=365)
    assert column(caller.site.store, kinds) == ["idempotency", "placer"]
    remove(caller.site, later(366), request_key_days=365)
    assert column(caller.site.store, kinds) == ["placer"]
    again = caller.create(referral("A-1"), Idempotency_Key="key-1")
    assert (again.status_code, again.get_json(force=True)["id"]) == (200, made["id"])
    assert caller.task_of(made["id"])["id"] == task["id"]


def test_tokens_assertions_and_sessions_that_are_over_go(site: Site) -> None:
    over, lasting = instant(AT), instant(AT + 2 * DAY)
    client = {"id": "c", "name": "C", "roles": "placer", "queues": "", "scopes": "", "bars": 0, "callbacks": ""}
    one = {"id": "p", "shown_name": "P", "role": "lead", "queues": "", "added_at": over, "failures": 0}
    with site.store.writing() as connection:
        connection.execute(insert(tables.client).values(**client, registered_at=over))
        connection.execute(insert(tables.person).values(**one))
        for name, end in (("over", over), ("lasting", lasting)):
            token = {"hash": name, "client": "c", "scopes": "", "expires": end}
            connection.execute(insert(tables.access_token).values(**token))
            connection.execute(insert(tables.assertion_jti).values(issuer="c", jti=name, expires=end))
            connection.execute(insert(tables.session).values(id=name, person_id="p", ends_at=end))
    remove(site, AT + DAY)
    left = [
        column(site.store, select(one))
        for one in (tables.access_token.c.hash, tables.assertion_jti.c.jti, tables.session.c.id)
    ]
    assert left == [["lasting"]] * 3


# The audit trail.


def seal(store: Store, at: datetime) -> bool:
    return Sealer(store, lambda: at).step()


@pytest.fixture
def sealed(site: Site) -> Site:
    """Three batches, sealed a day apart, and two events that are not sealed yet."""
    for day, numbers in enumerate(((1, 2, 3), (4, 5), (6,))):
        add(site.store, *numbers)
        assert seal(site.store, AT + day * DAY)
    add(site.store, 7, 8)
    return site


EVENTS = select(tables.audit_event.c.id).where(tables.audit_event.c.action != "D").order_by(tables.audit_event.c.at)


def test_whole_batches_of_the_trail_go_from_its_beginning_and_the_rest_verifies(sealed: Site) -> None:
    before = verify(sealed.store)
    remove(sealed, AT + 9 * DAY, audit_days=10)
    assert (verify(sealed.store), column(sealed.store, EVENTS)) == (before, [f"e-00{n}" for n in range(1, 9)])
    remove(sealed, AT + 11 * DAY, audit_days=10)
    assert column(sealed.store, EVENTS) == ["e-006", "e-007", "e-008"]
    found = verify(sealed.store)
    assert (found.fault, found.removed, found.sealed, found.tail, found.last) == (None, 5, 6, 3, before.last)
    assert column(sealed.store, select(tables.audit_seal.c.batch)) == [3]
    assert len(set(column(sealed.store, select(tables.audit_entity.c.event_id)))) == 3
    # Sealing goes on where it was, and the next removal begins there.
    assert seal(sealed.store, AT + 11 * DAY)
    add(sealed.store, 9)
    assert seal(sealed.store, AT + 12 * DAY)
    remove(sealed, AT + 22 * DAY, audit_days=10)
    found = verify(sealed.store)
    assert (found.fault, found.removed, found.sealed, column(sealed.store, EVENTS)) == (None, 9, 10, ["e-009"])


def test_the_last_batch_and_the_tail_stay_however_old(sealed: Site) -> None:
    remove(sealed, AT + 9000 * DAY, audit_days=1)
    assert column(sealed.store, EVENTS) == ["e-006", "e-007", "e-008"]
    assert verify(sealed.store).fault is None


def test_a_removal_is_an_event_of_the_trail_itself(sealed: Site) -> None:
    remove(sealed, AT + 11 * DAY, audit_days=10)
    query = select(tables.audit_event.c.content).where(tables.audit_event.c.action == "D")
    (content,) = map(json.loads, column(sealed.store, query))
    with sealed.store.reading() as connection:
        anchor = audit.anchor(connection)
    assert anchor is not None
    assert content["outcomeDesc"] == f"removed by policy: audit until seal 2:{anchor['hash']}"
    assert (content["agent"][0]["name"], content["outcome"]) == ("Referral service", "0")


def test_a_seal_noted_elsewhere_counts_for_as_long_as_it_is_kept_or_was_an_anchor(sealed: Site) -> None:
    with sealed.store.reading() as connection:
        noted = {row["batch"]: (row["batch"], row["hash"]) for row in audit.seals(connection)}
    remove(sealed, AT + 11 * DAY, audit_days=10)
    assert verify(sealed.store, noted[3]).fault is None
    assert verify(sealed.store, noted[2]).fault is None
    assert verify(sealed.store, (2, "0" * 64)).fault == "batch 2 is not the one whose hash was noted"
    assert verify(sealed.store, noted[1]).fault == (
        "batch 1 was removed, as the policy has it, until batch 2: note a later one"
    )


ANCHOR = "INSERT INTO audit_anchor (batch, last, hash, until, removed_at, event_id) "
REFUSED = "audit rows are only ever added"


def _told(store: Store) -> str:
    """An event of a removal, not sealed yet; its id."""
    with store.writing() as connection:
        connection.execute(
            text(
                "INSERT INTO audit_event (id, at, actor, actor_kind, network, request_id, action, outcome, content) "
                "SELECT 'e-told', at, actor, actor_kind, network, request_id, 'D', outcome, content "
                "FROM audit_event WHERE id = 'e-008'"
            )
        )
    return "e-told"


@pytest.mark.parametrize(
    "row",
    [
        "SELECT batch, last, hash, sealed_at, sealed_at, 'e-told' FROM audit_seal WHERE batch = 3",  # the last one
        "SELECT batch, last, 'x', sealed_at, sealed_at, 'e-told' FROM audit_seal WHERE batch = 2",
        "SELECT batch, last + 1, hash, sealed_at, sealed_at, 'e-told' FROM audit_seal WHERE batch = 2",
        "SELECT batch, last, hash, sealed_at, sealed_at, 'e-008' FROM audit_seal WHERE batch = 2",  # tells of none
        "SELECT batch, last, hash, sealed_at, sealed_at, 'e-none' FROM audit_seal WHERE batch = 2",
        "SELECT 9, last, hash, sealed_at, sealed_at, 'e-told' FROM audit_seal WHERE batch = 2",
    ],
)
def test_the_database_refuses_an_anchor_that_is_no_older_seal_told_of(sealed: Site, row: str) -> None:
    _told(sealed.store)
    with pytest.raises(DatabaseError, match=REFUSED), sealed.store.writing() as connection:
        connection.execute(text(ANCHOR + row))


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit_event WHERE id = 'e-006'",
        "DELETE FROM audit_event WHERE id = 'e-008'",
        "DELETE FROM audit_entity WHERE event_id = 'e-006'",
        "DELETE FROM audit_entity WHERE event_id = 'e-008'",
        "DELETE FROM audit_seal WHERE batch = 3",
        "DELETE FROM audit_anchor",
        "UPDATE audit_anchor SET last = 6, batch = 3",
        "UPDATE audit_event SET actor = 'x' WHERE sequence <= 5",
    ],
)
def test_an_anchor_lets_go_what_lies_before_it_and_nothing_else(sealed: Site, statement: str) -> None:
    row = "SELECT batch, last, hash, sealed_at, sealed_at, '{}' FROM audit_seal WHERE batch = 2"
    with sealed.store.writing() as connection:
        pass
    told = _told(sealed.store)
    with sealed.store.writing() as connection:
        connection.execute(text(ANCHOR + row.format(told)))
    with pytest.raises(DatabaseError, match=REFUSED), sealed.store.writing() as connection:
        connection.execute(text(statement))
    with sealed.store.writing() as connection:
        connection.execute(text("DELETE FROM audit_entity WHERE event_id IN ('e-001', 'e-005')"))
        connection.execute(text("DELETE FROM audit_event WHERE id IN ('e-001', 'e-005')"))
        connection.execute(text("DELETE FROM audit_seal WHERE batch <= 2"))


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("DELETE FROM audit_event WHERE action = 'D'", "the event that tells of the removal until batch 2 is not here"),
        ("UPDATE audit_anchor SET hash = 'x'", "the event that tells of the removal until batch 2 is not here"),
        ("DELETE FROM audit_anchor", "batch 1 is missing"),
        ("DELETE FROM audit_event WHERE id = 'e-006'", "batch 3, event 6: it is missing"),
        ("UPDATE audit_anchor SET last = 4", "batch 3 begins at event 6, not at 5"),
    ],
)
def test_what_is_done_to_a_trail_that_begins_at_an_anchor_is_named(sealed: Site, statement: str, words: str) -> None:
    remove(sealed, AT + 11 * DAY, audit_days=10)
    if sealed.store.is_shared:
        tamper(sealed.store, "ALTER TABLE audit_anchor DISABLE TRIGGER USER", statement)
        tamper(sealed.store, "ALTER TABLE audit_anchor ENABLE TRIGGER USER")
    else:
        tamper(sealed.store, statement)
    assert verify(sealed.store).fault == words


def test_a_removal_that_was_killed_in_the_middle_verifies_and_goes_on(sealed: Site) -> None:
    policy = replace(sealed.policy, retention=Retention(audit_days=10))
    remover = Remover(sealed.store, policy, sealed.host, lambda: AT + 11 * DAY)
    with sealed.store.reading() as connection:
        found = retention.removable(connection, instant(AT + DAY))
    assert found is not None
    with sealed.store.writing() as connection:
        told = remover._tell(connection, f"removed by policy: audit until seal 2:{found['hash']}", AT + 11 * DAY)
        retention.drop_anchor(connection, found, told, AT + 11 * DAY)
    assert verify(sealed.store).fault is None
    remove(sealed, AT + 11 * DAY, audit_days=10)
    assert (verify(sealed.store).fault, column(sealed.store, EVENTS)) == (None, ["e-006", "e-007", "e-008"])


def test_requests_of_before_the_kept_part_of_the_trail_are_not_missed(caller: Caller, app: Flask) -> None:
    for number in ("A-1", "A-2", "A-3"):
        assert caller.create(referral(number)).status_code == 201
        app.extensions["recorder"].settle()
        assert seal(caller.site.store, datetime.now(UTC))
    remove(caller.site, later(400), audit_days=365)
    found = verify(caller.site.store)
    assert (found.fault, found.removed > 0) == (None, True)
    tamper(caller.site.store, "DELETE FROM audit_entity", "DELETE FROM audit_event WHERE action <> 'D'")
    assert verify(caller.site.store).fault is not None


# One at a time, a little at a time.


def test_more_than_one_batch_goes_in_turns_and_then_it_rests_for_a_day(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for module in ("referral_service.store.retention", "referral_service.retention"):
        monkeypatch.setattr(f"{module}.LIMIT", 2)
    _delivered(site.store, "t", "r", ["delivered"] * 6)
    policy = replace(site.policy, retention=Retention(delivery_days=1))
    at = AT + 9 * DAY
    remover = Remover(site.store, policy, site.host, lambda: at)
    assert remover.next_due() == instant(at)
    assert [remover.step() for _ in range(4)] == [True, True, True, False]
    assert remover.next_due() == instant(at + EVERY)
    told = [line for line in caplog.messages if line.startswith("retention_removed")]
    assert told == ["retention_removed kind=deliveries rows=2"] * 2 + ["retention_removed kind=deliveries rows=1"]


def test_what_one_worker_has_in_hand_no_other_removes(site: Site) -> None:
    _delivered(site.store, "t", "r", ["delivered"] * 3)
    policy = replace(site.policy, retention=Retention(delivery_days=1))
    with site.store.writing() as connection:
        held = retention.claim(connection, AT + 9 * DAY)
    assert held is not None
    other = Remover(site.store, policy, site.host, lambda: AT + 9 * DAY + timedelta(seconds=59))
    assert other.step() is False
    dead = Remover(site.store, policy, site.host, lambda: AT + 9 * DAY + leases.LEASE)
    assert dead.step() is True
    assert column(site.store, select(tables.delivery.c.number)) == [3]


def test_what_has_changed_since_it_was_looked_for_stays(site: Site) -> None:
    insert_all_keys = {"client": "local", "kind": "idempotency", "value": "k", "content_hash": ""}
    received = {"id": "q", "client": "local", "request_id": "q", "door": "", "result": "decided", "at": instant(AT)}
    row = {"received_id": "q", "position": 0, "client": "local", "at": instant(AT), "red_flag": 0, "rules": ""}
    with site.store.writing() as connection:
        insert_all(
            connection,
            {
                tables.received: [{**received, "body": b"x"}],
                tables.ledger: [{**row, "state": "rejected", "outcome": ""}],
                tables.request_key: [{**insert_all_keys, "received_id": "q"}],
            },
        )
    until = instant(AT + DAY)
    with site.store.reading() as connection:
        found = retention.TEXTS.find(connection, until)
    assert [tuple(key) for key in found] == [("q",)]
    with site.store.writing() as connection:
        connection.execute(text("UPDATE ledger SET taken_from = 'rejected', state = 'review'"))
        assert retention.TEXTS.remove(connection, found, until) == 0
    assert kept(site) == {"q"}
