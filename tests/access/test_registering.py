"""Systems are registered by command line, loudly when something is wrong, on either engine."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from referral_service.access.registering import RegistrationError
from referral_service.cli import main
from referral_service.store import systems
from referral_service.store.engine import Store
from tests.systems import System, ec_key, key_set, public, rsa_key

Command = Callable[..., Result]


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    file = tmp_path / "jwks.json"
    file.write_text(key_set(public(rsa_key("a")), public(ec_key("b"))), "utf-8")
    return file


@pytest.fixture
def command(store: Store) -> Command:
    url = store.engine.url.set(drivername=store.engine.dialect.name).render_as_string(hide_password=False)

    def run(*words: str) -> Result:
        return CliRunner(env={"REFERRAL_DATABASE_URL": url}).invoke(main, ["client", *words])

    return run


PLACER = ("--id", "ehr-a", "--name", "Clinic A", "--role", "placer", "--scope", "system/ServiceRequest.cru")
FILLER = (
    *("--id", "movement-lab", "--name", "Movement laboratory", "--role", "filler", "--role", "placer"),
    *("--queue", "pediatric-neuromotor", "--queue", "adult-movement-disorders"),
    *("--scope", "system/Task.rus system/Patient.r", "--scope", "system/ServiceRequest.r"),
    *("--jwks-url", "https://lab.example/jwks.json", "--placer-system", "https://lab.example/orders", "--bars"),
    *("--cds-issuer", "https://lab.example/hooks"),
    *("--ehr-base", "https://lab.example/fhir/", "--ehr-token-url", "https://login.lab.example/token"),
    *("--ehr-client-id", "referrals", "--tell", "task"),
    *("--callback", "https://lab.example", "--callback", "https://hooks.lab.example:8443/"),
)


def test_a_client_is_added_and_kept_as_it_was_given(command: Command, store: Store, keys: Path) -> None:
    assert command("add", *PLACER, "--jwks", str(keys)).output == "ehr-a is registered.\n"
    assert command("add", *FILLER).output == "movement-lab is registered.\n"
    with store.reading() as connection:
        rows = [dict(row) for row in systems.clients(connection)]
    assert [row.pop("registered_at")[:2] for row in rows] == ["20", "20"]
    assert rows == [
        {
            "id": "ehr-a",
            "name": "Clinic A",
            "roles": "placer",
            "queues": "",
            "scopes": "system/ServiceRequest.cru",
            "jwks": keys.read_text("utf-8"),
            "jwks_url": None,
            "placer_system": None,
            "bars": 0,
            "cds_issuer": None,
            "ehr_base": None,
            "ehr_token_url": None,
            "ehr_client_id": None,
            "callbacks": "",
            "tell": None,
            "revoked_at": None,
        },
        {
            "id": "movement-lab",
            "name": "Movement laboratory",
            "roles": "placer filler",
            "queues": "adult-movement-disorders pediatric-neuromotor",
            "scopes": "system/Patient.r system/ServiceRequest.r system/Task.rus",
            "jwks": None,
            "jwks_url": "https://lab.example/jwks.json",
            "placer_system": "https://lab.example/orders",
            "bars": 1,
            "cds_issuer": "https://lab.example/hooks",
            "ehr_base": "https://lab.example/fhir",
            "ehr_token_url": "https://login.lab.example/token",
            "ehr_client_id": "referrals",
            "callbacks": "https://lab.example:443 https://hooks.lab.example:8443",
            "tell": "task",
            "revoked_at": None,
        },
    ]


def test_the_list_names_every_client_its_keys_and_whether_it_may_call(command: Command, keys: Path) -> None:
    command("add", *PLACER, "--jwks", str(keys))
    command("add", *FILLER)
    assert command("revoke", "movement-lab").output == "movement-lab is revoked.\n"
    head, first, second = command("list").output.splitlines()
    assert head.split() == ["id", "name", "roles", "queues", "scopes", "keys", "besides", "state"]
    assert re.search(r"kid a, b +- +since 20", first)
    assert "https://lab.example/jwks.json" in second
    assert (
        "bars, placer-system https://lab.example/orders, cds-issuer https://lab.example/hooks, "
        "ehr-base https://lab.example/fhir, ehr-token-url https://login.lab.example/token, ehr-client-id referrals, "
        "tell task, callback https://lab.example:443, callback https://hooks.lab.example:8443"
    ) in second
    assert "revoked 20" in second


def test_one_that_is_there_is_not_added_and_one_that_is_not_is_not_revoked(command: Command, keys: Path) -> None:
    command("add", *PLACER, "--jwks", str(keys))
    again = command("add", *PLACER, "--jwks", str(keys))
    assert (again.exit_code, again.output) == (
        1,
        "Error: ehr-a is registered; revoke it first, and its records stay its own\n",
    )
    assert command("revoke", "ehr-a").exit_code == 0
    revoked = command("revoke", "ehr-a")
    assert (revoked.exit_code, revoked.output) == (1, "Error: There is no such client, or it was revoked before.\n")
    assert command("add", *PLACER, "--jwks", str(keys)).exit_code == 0


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (("--id", "ehr a"), "the id is letters"),
        (("--id", "e" * 65), "the id is letters"),
        (("--id", "local"), "none of local, referral-service"),
        (("--id", "referral-service"), "none of local, referral-service"),
        (("--name", " "), "the name is one line"),
        (("--name", "a\nb"), "the name is one line"),
        (("--role", "lead"), "a role is placer or filler"),
        (("--role", "filler"), "a filler has at least one queue"),
        (("--queue", "intake-review"), "a filler has at least one queue, and nobody else"),
        (("--role", "filler", "--queue", "neurology"), "a queue is one of"),
        (("--scope", "system/Task.dus"), "'system/Task.dus' is no scope"),
        (("--scope", "system/Task.read"), "'system/Task.read' is no scope"),
        (("--scope", "system/Medication.r"), "names a type that is not kept here"),
        (("--scope", ""), "a scope is missing"),
        (("--jwks-url", "https://ehr.example/jwks"), "one of these"),
        (("--outside-issuer",), "one of these"),
        (("--callback", "http://ehr.example"), "a callback begins with https://, unless its origin stands in"),
        (("--callback", "https://ehr.example/hook"), "a callback is scheme, host and port only"),
        (("--callback", "https://user@ehr.example"), "a callback is an https address with no name or password"),
        (("--ehr-base", "http://ehr.example/fhir"), "the EHR's base begins with https://"),
        (("--ehr-base", "https://ehr.example/fhir?x=1"), "the EHR's base has nothing behind its path"),
        (("--ehr-base", "https://ehr.example/fhir#x"), "the EHR's base is an https address with no name or password"),
        (("--tell", "task"), "a client is told by task or bser or bars, at its EHR's base"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_kept(
    command: Command, keys: Path, changed: tuple[str, ...], words: str
) -> None:
    answer = command("add", *PLACER, "--jwks", str(keys), *changed)
    assert answer.exit_code == 1
    assert words in answer.output
    assert len(command("list").output.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"\xff", "no text in UTF-8"),
        (b"{}", "no JSON Web Key Set"),
        (json.dumps({"keys": [rsa_key("a").as_dict(private=True)]}).encode(), "holds private parts"),
        (b" " * (64 * 1024 + 1), "larger than 64 KiB"),
    ],
)
def test_a_key_set_that_is_not_sound_is_refused(command: Command, tmp_path: Path, text: bytes, words: str) -> None:
    (tmp_path / "wrong.json").write_bytes(text)
    answer = command("add", *PLACER, "--jwks", str(tmp_path / "wrong.json"))
    assert (answer.exit_code, words in answer.output) == (1, True)


@pytest.mark.parametrize(
    "address",
    [
        "http://ehr.example/jwks",
        "https://user:x@ehr.example/jwks",
        "https:///jwks",
        "ehr.example",
        "https://a.example/#k",
    ],
)
def test_keys_are_published_over_https(command: Command, address: str) -> None:
    answer = command("add", *PLACER, "--jwks-url", address)
    assert (answer.exit_code, "begins with https://" in answer.output) == (1, True)


def test_keys_are_given_in_one_way(store: Store) -> None:
    changed: dict[str, Any] = {"jwks": None}
    with pytest.raises(RegistrationError, match="one of these"):
        System().register(store, **changed)


def test_revoking_ends_tokens_in_the_same_moment(store: Store) -> None:
    one = System().register(store)
    with store.writing() as connection:
        systems.keep_token(connection, "0" * 64, one.id, "system/Task.r", datetime(2099, 1, 1, tzinfo=UTC))
    with store.reading() as connection:
        assert systems.holder(connection, "0" * 64, datetime.now(UTC)) is not None
    with store.writing() as connection:
        systems.revoke(connection, one.id, datetime.now(UTC))
        assert systems.holder(connection, "0" * 64, datetime.now(UTC)) is None


@pytest.mark.parametrize(
    ("base", "words"),
    [
        ("ehr.example/fhir", "is an https address"),
        ("ftp://ehr.example/fhir", "is an https address"),
        ("https:///fhir", "is an https address"),
        ("https://user:x@ehr.example/fhir", "is an https address"),
        ("https://ehr.example/fhir#x", "is an https address"),
        ("https://ehr.example/fhir?x=1", "nothing behind its path"),
        ("https://ehr.example/fhir?", "nothing behind its path"),
        ("https://ehr.example/../fhir", "no empty step, dots or escapes"),
        ("https://ehr.example/a/./fhir", "no empty step, dots or escapes"),
        ("https://ehr.example//fhir", "no empty step, dots or escapes"),
        ("https://ehr.example/%2e%2e/fhir", "no empty step, dots or escapes"),
        ("http://ehr.example/fhir", "unless its origin stands in REFERRAL_OUTBOUND"),
        ("https://127.0.0.1/fhir", "at a private address"),
        ("https://10.1.2.3:8443/fhir", "at a private address"),
        ("https://[::1]/fhir", "at a private address"),
        ("https://[::ffff:10.1.2.3]/fhir", "at a private address"),
        ("https://localhost/fhir", "at a private address"),
        ("https://ehr.internal/fhir", "at a private address"),
        ("https://ehr.example/" + "x" * 512, "one line of at most 512"),
    ],
)
@pytest.mark.parametrize("option", ["--ehr-base", "--ehr-token-url"])
def test_the_address_of_an_ehr_can_be_read_in_one_way_and_lies_on_the_open_internet(
    command: Command, keys: Path, option: str, base: str, words: str
) -> None:
    log_in = ["--ehr-base", "https://ehr.example", "--ehr-client-id", "x"] if option == "--ehr-token-url" else []
    refused = command("add", *PLACER, "--jwks", str(keys), *log_in, option, base)
    assert (refused.exit_code, words in refused.output) == (1, True), refused.output


@pytest.mark.parametrize(
    "given",
    [
        ("--ehr-token-url", "https://ehr.example/token"),
        ("--ehr-client-id", "referrals"),
        ("--ehr-base", "https://ehr.example/fhir", "--ehr-client-id", "referrals"),
        ("--ehr-token-url", "https://ehr.example/token", "--ehr-client-id", "referrals"),
    ],
)
def test_a_log_in_at_an_ehr_is_given_whole(command: Command, keys: Path, given: tuple[str, ...]) -> None:
    refused = command("add", *PLACER, "--jwks", str(keys), *given)
    assert (refused.exit_code, "log-in" in refused.output) == (1, True), refused.output


def test_an_ehr_at_a_private_address_is_registered_when_its_origin_is_listed(
    store: Store, keys: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setenv("REFERRAL_OUTBOUND", "http://10.1.2.3:8080")
    base = ("--ehr-base", "http://10.1.2.3:8080/fhir")
    assert command("add", *PLACER, "--jwks", str(keys), *base).output == "ehr-a is registered.\n"
    with store.reading() as connection:
        assert systems.clients(connection)[0]["ehr_base"] == "http://10.1.2.3:8080/fhir"
