from __future__ import annotations

import time
from pathlib import Path

from tests.serving import Server
from tests.shapes import referral


def test_x(postgres_url: str, tmp_path: Path) -> None:
    server = Server(postgres_url, tmp_path, processes=2)
    server.start()
    try:
        for n in range(20):
            assert server.post("/fhir/ServiceRequest", referral(f"W-{n}")).status_code == 201
        server.get("/nowhere/W-1")
        server.get("/fhir/Patient/nobody")
        print(server.get("/health/ready").text)
        t = time.perf_counter()
        r = server.get("/metrics")
        print(r.headers, time.perf_counter() - t)
        print(r.text)
        t = time.perf_counter()
        r = server.get("/metrics")
        print(time.perf_counter() - t)
    finally:
        server.stop()
        print(server.log.read_text()[:6000])
    assert 0
