"""The files that put the service into containers hold to their specifications, and to the service."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from ipaddress import ip_network
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import yaml
from sqlalchemy import create_engine, make_url, text

from referral_service.access.people import ROLES
from referral_service.referral import Queue
from referral_service.server import SECONDS_TO_FINISH
from referral_service.settings import PREFIX, from_environment
from tests.containers import COMPOSE, DOCKERFILE, ROOT, compose, environment_of, healthcheck, instructions

DEPLOYMENT = ROOT / "docs" / "deployment"
OURS = ("app", "worker", "migrate", "seed")
THEIR_OWN_WRITERS = {"login", "ehr"}
"""Samples of others that write into their own image; only the demo has them."""
DEMO = dict(
    line.split("=", 1) for line in (DEPLOYMENT / "demo.env").read_text("utf-8").splitlines() if re.match(r"\w+=", line)
)


def service(name: str, variables: dict[str, str] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = compose(variables)["services"][name]
    return found


def tool(*words: str) -> str:
    ran = subprocess.run([str(Path(sys.executable).parent / words[0]), *words[1:]], capture_output=True, text=True)
    return (ran.stdout + ran.stderr).strip()


def test_the_compose_file_holds_to_its_specification() -> None:
    checked = tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(ROOT / "docker-compose.yml"))
    assert checked == "ok -- validation done"


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    assert tool("hadolint", str(ROOT / "Dockerfile")) == ""


def test_the_image_is_of_this_version_runs_as_nobody_in_particular_and_is_built_from_pinned_bases() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', DOCKERFILE))
    assert labels == {
        "title": "Referral service for dystonia",
        "description": project["description"],
        "version": project["version"],
        "licenses": project["license"],
    }
    assert compose()["services"]["app"]["image"] == f"referral-service:{project['version']}"
    assert instructions("USER") == ["10001:10001"]
    images = [line.split()[0] for line in instructions("FROM")]
    images += [one["image"] for name, one in compose()["services"].items() if name not in OURS]
    assert [image for image in images if not re.search(r":v?\d+[\w.-]*$", image)] == []


def test_what_the_image_is_built_from_is_all_that_reaches_the_builder() -> None:
    needed = {name.split("/")[0] for line in instructions("COPY") if "--from" not in line for name in line.split()[:-1]}
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert lines[lines.index("*") + 1 :][: len(needed)] == [
        f"!{name}"
        for name in ("pyproject.toml", "requirements.lock", "README.md", "LICENSE", "referral_service", "profiles")
    ]
    assert {line[1:] for line in lines if line.startswith("!")} == needed


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("variables", [{}, DEMO], ids=["plain", "demo"])
def test_the_settings_of_our_services_are_ones_that_the_service_takes(
    name: str, variables: dict[str, str], tmp_path: Path
) -> None:
    found = environment_of(service(name, variables), variables)
    secret = tmp_path / "secret"
    secret.write_text("k" * 40, "utf-8")
    settings = from_environment(
        {key: str(secret) if key.endswith("_FILE") else value for key, value in found.items() if key != "SSL_CERT_FILE"}
    )
    assert (settings.auth, settings.demo, settings.public_url) == ("smart", False, "https://localhost")
    assert [ip_network("172.31.84.0/24")] == list(settings.proxies)
    mounted = {f"/run/secrets/{one}" for one in service(name)["secrets"]}
    assert {value for key, value in found.items() if key.startswith(PREFIX) and key.endswith("_FILE")} == mounted


@pytest.mark.parametrize("name", list(compose()["services"]))
def test_every_container_is_held_tight(name: str) -> None:
    found = service(name)
    assert (found["cap_drop"], found["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
    assert found.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "proxy" else [])
    assert found["logging"]["options"] == {"max-size": "20m", "max-file": "10"}
    assert found.get("read_only", False) is (name not in THEIR_OWN_WRITERS)
    assert set(found["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    once = {"migrate", "seed", "authority"}
    assert found["restart"] == ("no" if name in once else "unless-stopped")


def test_postgresql_is_reached_from_inside_only_and_nothing_listens_beyond_this_machine_unasked() -> None:
    whole = compose()
    assert service("postgres")["networks"] == ["database"]
    assert [name for name, network in whole["networks"].items() if (network or {}).get("internal")] == [
        "proxied",
        "database",
    ]
    published = {name: one["ports"] for name, one in whole["services"].items() if "ports" in one}
    assert published == {
        "proxy": ["127.0.0.1:80:80", "127.0.0.1:443:443"],
        "prometheus": ["127.0.0.1:9090:9090"],
        "grafana": ["127.0.0.1:3000:3000"],
    }


def test_only_the_proxy_and_the_replicas_are_where_a_callers_address_is_believed() -> None:
    whole = compose()
    assert [name for name, one in whole["services"].items() if "proxied" in one.get("networks", ())] == ["proxy", "app"]
    [subnet] = whole["networks"]["proxied"]["ipam"]["config"]
    assert subnet["subnet"] == environment_of(service("app"))["REFERRAL_PROXIES"]


def test_a_container_is_waited_for_longer_than_the_server_takes_to_finish_and_the_server_takes_30_seconds_at_most() -> (
    None
):
    assert SECONDS_TO_FINISH < 30
    assert {service(name)["stop_grace_period"] for name in OURS} == {"35s"}


def test_the_profiles_start_what_they_are_to_start_and_no_profile_the_service_alone() -> None:
    by_profile: dict[str, list[str]] = {}
    for name, one in compose()["services"].items():
        for profile in one.get("profiles", [""]):
            by_profile.setdefault(profile, []).append(name)
    assert by_profile == {
        "": ["proxy", "app", "worker", "migrate", "postgres"],
        "demo": ["login", "ehr", "authority", "seed"],
        "observability": ["prometheus", "grafana"],
    }


def test_all_that_the_containers_are_given_of_this_folder_is_there() -> None:
    named = set(re.findall(r"\./(docs/[\w./-]+|referral_service/[\w./-]+)", COMPOSE))
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_postgresql_knows_every_setting_it_is_given_and_keeps_what_it_acknowledges(postgres_url: str) -> None:
    command = service("postgres")["command"]
    assert (command[0], set(command[1::2])) == ("postgres", {"-c"})
    given = dict(word.split("=", 1) for word in command[2::2])
    engine = create_engine(make_url(postgres_url).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        known = set(connection.execute(text("SELECT name FROM pg_settings")).scalars())
    engine.dispose()
    assert set(given) - known == set()
    assert {given[name] for name in ("fsync", "synchronous_commit", "full_page_writes")} == {"on"}


def test_the_sample_log_in_names_our_roles_and_queues_and_leads_back_to_us() -> None:
    realm = json.loads((DEPLOYMENT / "realm.json").read_text("utf-8"))
    names = {role["name"] for role in realm["roles"]["realm"]}
    assert names == {role.value for role in ROLES} | {queue.value for queue in Queue}
    [client] = realm["clients"]
    assert client["clientId"] == DEMO["REFERRAL_OIDC_CLIENT_ID"]
    assert client["redirectUris"] == [f"{DEMO['REFERRAL_PUBLIC_URL']}/sign-in/openid/back"]
    assert (client["standardFlowEnabled"], client["directAccessGrantsEnabled"]) == (True, False)
    [mapper] = client["protocolMappers"]
    assert mapper["config"]["claim.name"] == DEMO["REFERRAL_OIDC_ROLE_CLAIM"]
    assert (mapper["config"]["id.token.claim"], mapper["config"]["multivalued"]) == ("true", "true")
    assert DEMO["REFERRAL_OIDC_ISSUER"].endswith(f"/realms/{realm['realm']}")
    held = [set(user["realmRoles"]) for user in realm["users"]]
    assert {role.value for role in ROLES} == {name for roles in held for name in roles} - {q.value for q in Queue}
    assert {one["value"] for user in realm["users"] for one in user["credentials"]} == {"${DEMO_PASSWORD}"}


def test_every_variable_of_the_demo_is_one_that_the_compose_file_reads() -> None:
    read = set(re.findall(r"\$\{(\w+)", COMPOSE)) | set(re.findall(r"^  (\w+):$", COMPOSE, re.MULTILINE))
    assert set(DEMO) - read == {"COMPOSE_PROFILES"}


def test_a_health_check_fails_where_nothing_listens() -> None:
    ran = subprocess.run([sys.executable, *healthcheck()[1:]], env={"REFERRAL_PORT": "9"}, capture_output=True)
    assert ran.returncode == 1


@pytest.mark.skipif(which("caddy") is None, reason="the proxy's configuration is checked by caddy, which is not here")
@pytest.mark.parametrize("certificate", ["internal", "automatic"])
def test_caddy_takes_the_configuration_of_the_proxy(certificate: str, tmp_path: Path) -> None:
    variables = {"CERTIFICATE": certificate, "SITE": "referrals.hospital.example", "ALSO": "demo"}
    command = ["caddy", "validate", "--adapter", "caddyfile", "--config", str(DEPLOYMENT / "Caddyfile")]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **variables}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ran.stdout.strip().endswith("Valid configuration"), ran.stderr


@pytest.mark.parametrize("name", ["grafana-datasource.yml", "grafana-dashboards.yml"])
def test_grafana_finds_its_data_and_its_boards_where_they_are_mounted(name: str) -> None:
    written = yaml.safe_load((DEPLOYMENT / name).read_text("utf-8"))
    mounted = " ".join(service("grafana")["volumes"])
    if "datasources" in written:
        assert written["datasources"][0]["url"] == "http://prometheus:9090"
    else:
        assert f":{written['providers'][0]['options']['path']}/" in mounted
