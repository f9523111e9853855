"""The grammar of SMART scopes: https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html"""

from __future__ import annotations

import pytest

from referral_service.access.scopes import Need, ScopeError, parse_scopes

TYPES = ("ServiceRequest", "Task", "Patient")


def test_letters_are_read_in_their_order() -> None:
    scopes = parse_scopes("system/ServiceRequest.cru system/Task.rus", TYPES)
    assert scopes.granted == {
        *(Need("ServiceRequest", "c"), Need("ServiceRequest", "r"), Need("ServiceRequest", "u")),
        *(Need("Task", "r"), Need("Task", "u"), Need("Task", "s")),
    }


def test_scopes_are_said_again_as_they_were_granted() -> None:
    assert str(parse_scopes("system/Task.s system/*.c system/Task.r", TYPES)) == "system/*.c system/Task.rs"


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "system/Task.", "system/Task", "system/Task.sur", "system/Task.dus", "system/Task.rr"),
        *("system/Task.read", "system/Task.write", "system/Task.*", "system/*.*", "user/Task.r", "patient/Task.r"),
        *("system/Unheard.r", "system/task.r", "system/Task.r?status=draft", "system/Task.r  system/Task.u"),
        *("system/Task.r\tsystem/Task.u", "system/Task.r ", "openid", "system/Tásk.r"),
    ],
)
def test_what_is_not_in_the_grammar_is_refused_and_never_widened(text: str) -> None:
    with pytest.raises(ScopeError):
        parse_scopes(text, TYPES)


def test_every_type_is_granted_by_the_star_alone() -> None:
    every, one = parse_scopes("system/*.r", TYPES), parse_scopes("system/Task.r", TYPES)
    assert (every.allow(Need("Task", "r")), every.allow(Need("Task", "u"))) == (True, False)
    assert (one.allow(Need("Patient", "r")), one.allow(Need("*", "r"))) == (False, False)


def test_no_more_can_be_asked_for_than_was_granted() -> None:
    granted = parse_scopes("system/*.r system/Task.u", TYPES)
    asked = ["system/Task.ru", "system/Patient.r", "system/*.r", "system/Patient.u", "system/*.u"]
    assert [granted.allow_all(parse_scopes(one, TYPES)) for one in asked] == [True, True, True, False, False]
