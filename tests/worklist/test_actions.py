"""Who may make which named move from where: every cell of the table, written out a second time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from referral_service.referral import Queue
from referral_service.worklist import ACTIONS, MOVES, Actor, Position, Role, Takes, allowed, everyone

BEFORE, HELD, WORK = {"requested", "received", "accepted"}, {"on-hold"}, {"in-progress"}
OPEN = BEFORE | HELD | WORK
ENDS = {"rejected", "cancelled", "completed", "failed"}
OWNERS, LEADS = {"filler", "coordinator", "lead"}, {"lead"}

TABLE = {
    # move                    from                          by
    "receive": ({"requested"}, OWNERS),
    "accept": ({"requested", "received"}, OWNERS),
    "start": ({"accepted"}, OWNERS),
    "return-for-information": (BEFORE | WORK, OWNERS),
    "hold": (BEFORE | WORK, OWNERS),
    "resume": (HELD, OWNERS),
    "reject": (BEFORE | HELD, OWNERS),
    "cancel": (BEFORE | HELD, OWNERS | {"placer"}),
    "complete": (WORK, OWNERS),
    "report": (WORK | {"completed"}, OWNERS),
    "fail": (WORK, OWNERS),
    "re-route": (OPEN, OWNERS),
    "claim": (OPEN, OWNERS),
    "assign": (OPEN, OWNERS),
    "unassign": (OPEN, OWNERS),
    "book-appointment": ({"accepted", "in-progress"}, OWNERS),
    "move-appointment": ({"accepted", "in-progress"}, OWNERS),
    "did-not-attend": ({"accepted", "in-progress"}, OWNERS),
    "seen": ({"accepted", "in-progress"}, OWNERS),
    "set-business-status": (OPEN, OWNERS),
    "comment": (OPEN | ENDS, OWNERS),
    "correct-code": (OPEN, OWNERS),
    "confirm-birth-date": (OPEN, OWNERS),
    "pause-clock": (OPEN, OWNERS),
    "resume-clock": (OPEN, OWNERS),
    "entered-in-error": (OPEN | ENDS, LEADS),
    "undo": (ENDS, LEADS),
}
WHEN = {
    "unassign": {"assignee": "Kim Rota"},
    "move-appointment": {"has_appointment": True},
    "did-not-attend": {"has_appointment": True},
    "resume-clock": {"is_paused": True},
}
NOT_WHEN = {
    "claim": {"assignee": "Kim Rota"},
    "unassign": {},
    "book-appointment": {"has_appointment": True},
    "move-appointment": {},
    "did-not-attend": {},
    "correct-code": {"is_withdrawn": True},
    "confirm-birth-date": {"is_withdrawn": True},
    "pause-clock": {"is_paused": True},
    "resume-clock": {},
    "undo": {"is_withdrawn": True},
}


def actor(role: Role, *queues: Queue, client: str | None = "north") -> Actor:
    return Actor("a", "A", frozenset({role}), frozenset(queues or Queue), client)


def at(status: str, **more: object) -> Position:
    return Position(status, Queue.ADULT, "accepted" if status in HELD | ENDS else None, client="north", **more)  # type: ignore[arg-type]


def test_the_table_names_every_move_once() -> None:
    assert [action.code for action in ACTIONS] == list(TABLE)


@pytest.mark.parametrize("status", MOVES)
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("code", TABLE)
def test_a_move_is_offered_exactly_from_its_statuses_to_its_roles(status: str, role: Role, code: str) -> None:
    statuses, roles = TABLE[code]
    position = at(status, **WHEN.get(code, {}))
    offered = {action.code for action in allowed(position, actor(role))}
    assert (code in offered) == (status in statuses and role in roles)


@pytest.mark.parametrize("code", NOT_WHEN)
def test_a_move_is_offered_only_where_it_means_something(code: str) -> None:
    statuses, _ = TABLE[code]
    lead = actor(Role.LEAD)
    for status in statuses:
        assert code not in {action.code for action in allowed(at(status, **NOT_WHEN[code]), lead)}


@pytest.mark.parametrize("role", [Role.FILLER, Role.COORDINATOR, Role.LEAD])
def test_an_owner_moves_only_in_its_own_queues(role: Role) -> None:
    assert allowed(at("requested"), actor(role, Queue.ADULT)) != ()
    assert allowed(at("requested"), actor(role, Queue.PEDIATRIC, Queue.REVIEW)) == ()


def test_a_placer_cancels_only_its_own_and_only_before_work() -> None:
    placer = actor(Role.PLACER)
    assert [action.code for action in allowed(at("accepted"), placer)] == ["cancel"]
    assert [action.code for action in allowed(at("on-hold"), placer)] == ["cancel"]
    assert allowed(replace(at("on-hold"), came_from="in-progress"), placer) == ()
    assert allowed(at("accepted"), actor(Role.PLACER, client="south")) == ()
    assert allowed(at("in-progress"), placer) == ()


def test_without_authentication_everyone_may_do_all_that_anyone_may() -> None:
    for status in MOVES:
        by_anyone = {one.code for role in Role for one in allowed(at(status), actor(role))}
        assert {one.code for one in allowed(at(status), everyone("north"))} == by_anyone


@pytest.mark.parametrize(
    ("role", "sees"),
    [
        (Role.PLACER, {("north", Queue.ADULT), ("north", Queue.PEDIATRIC)}),
        (Role.FILLER, {("north", Queue.ADULT), ("south", Queue.ADULT)}),
        (Role.COORDINATOR, {("north", Queue.ADULT), ("south", Queue.ADULT)}),
        (Role.LEAD, {(client, queue) for client in ("north", "south") for queue in Queue}),
        (Role.INTEGRATOR, set()),
        (Role.AUDITOR, set()),
    ],
)
def test_who_sees_a_task_follows_from_role_client_and_queue(role: Role, sees: set[tuple[str, Queue]]) -> None:
    who = actor(role, Queue.ADULT)
    found = {(client, queue) for client in ("north", "south") for queue in Queue if who.sees(queue, client)}
    assert found == sees | ({("north", Queue.REVIEW)} if role is Role.PLACER else set())


def test_a_move_asks_for_a_reason_exactly_when_its_status_needs_one() -> None:
    needs = {action.code for action in ACTIONS if Takes.REASON in action.required}
    assert needs == {"return-for-information", "hold", "reject", "cancel", "fail"}
    assert {action.code for action in ACTIONS if action.reasons} == needs
