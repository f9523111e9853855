"""Seeds the demo: registers the sample EHR with the service, and has it send invented referrals.

Run inside the image, with REFERRAL_DATABASE_URL of the service. It can be run again: the same referrals are known then.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
import uuid
from typing import Any

import requests
from joserfc import jwt
from joserfc.jwk import ECKey

SERVICE = os.environ.get("SEED_SERVICE", "http://app:8080")
EHR = os.environ.get("SEED_EHR", "http://ehr:8080/fhir")
ID = "sample-ehr"
SCOPES = "system/ServiceRequest.crus system/Patient.crus system/Task.rs"
FHIR = {"Content-Type": "application/fhir+json"}
REFERRALS = [
    ("demo-1", "Ines", "Invented", "1971-05-04", "?cervical dystonia, head pulls to the left"),
    ("demo-2", "Tom", "Invented", "2015-02-11", "Generalised dystonia, DYT-TOR1A confirmed"),
    ("demo-3", "Rosa", "Invented", "1958-09-30", "Writer's cramp since March"),
    ("demo-4", "Emil", "Invented", "1990-01-17", "Tremor of the right hand"),
    ("demo-5", "Nora", "Invented", "2012-11-02", "Suspected status dystonicus"),
]
"""Number, given and family name, birth date, and reason: none of it is anybody's."""


def main() -> None:
    key = ECKey.generate_key("P-384", {"kid": str(uuid.uuid4()), "use": "sig", "alg": "ES384"})
    wait_for(f"{EHR}/metadata")
    register(key)
    bearer = {"Authorization": f"Bearer {token(key)}"}
    for number, given, family, born, reason in REFERRALS:
        patient = keep_at_ehr(number, given, family, born)
        answer = requests.post(
            f"{SERVICE}/fhir/ServiceRequest", json=referral(number, patient, reason), headers=FHIR | bearer, timeout=30
        )
        answer.raise_for_status()
        queue = next(tag["code"] for tag in answer.json()["meta"]["tag"] if tag["system"].endswith("/queue"))
        print(f"{number} {answer.status_code} {queue}", flush=True)


def wait_for(address: str) -> None:
    for _ in range(150):
        try:
            if requests.get(address, timeout=5).ok:
                return
        except requests.RequestException:
            pass
        time.sleep(2)
    raise SystemExit(f"{address} does not answer")


def register(key: ECKey) -> None:
    """With a new key each time, which is kept nowhere."""
    subprocess.run(["referral-service", "client", "revoke", ID], capture_output=True, check=False)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"keys": [key.as_dict(private=False)]}, file)
        file.flush()
        roles = ["--role", "placer", "--scope", SCOPES, "--jwks", file.name, "--ehr-base", EHR, "--tell", "task"]
        subprocess.run(["referral-service", "client", "add", "--id", ID, "--name", "Sample EHR", *roles], check=True)


def token(key: ECKey) -> str:
    described = requests.get(f"{SERVICE}/fhir/.well-known/smart-configuration", timeout=10).json()
    claims = {
        "iss": ID,
        "sub": ID,
        "aud": described["token_endpoint"],
        "exp": int(time.time()) + 240,
        "jti": str(uuid.uuid4()),
    }
    signed = jwt.encode({"alg": "ES384", "kid": key.kid, "typ": "JWT"}, claims, key, algorithms=["ES384"])
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": signed,
        "scope": SCOPES,
    }
    answer = requests.post(f"{SERVICE}/auth/token", data=form, timeout=10)
    answer.raise_for_status()
    return str(answer.json()["access_token"])


def keep_at_ehr(number: str, given: str, family: str, born: str) -> str:
    """The patient's id there."""
    patient: dict[str, Any] = {
        "resourceType": "Patient",
        "id": f"patient-{number}",
        "identifier": [{"system": "https://ehr.example/patients", "value": number}],
        "name": [{"given": [given], "family": family}],
        "birthDate": born,
    }
    answer = requests.put(f"{EHR}/Patient/{patient['id']}", json=patient, headers=FHIR, timeout=30)
    answer.raise_for_status()
    return str(patient["id"])


def referral(number: str, patient: str, reason: str) -> dict[str, Any]:
    return {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "identifier": [{"system": "https://ehr.example/orders", "value": number}],
        "subject": {"reference": f"Patient/{patient}"},
        "requester": {"display": "Dr Example"},
        "reasonCode": [{"text": reason}],
    }


if __name__ == "__main__":
    main()
