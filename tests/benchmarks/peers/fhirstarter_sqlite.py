"""A FHIR server of fhirstarter that keeps the text of each ServiceRequest in an SQLite file; run by uvicorn.

It runs in an environment of its own, where fhirstarter is installed; the file is named by PEER_DATABASE.
"""

from __future__ import annotations

import os
import sqlite3
from threading import Lock
from uuid import uuid4

from fhir.resources.R4B.servicerequest import ServiceRequest
from fhirstarter import FHIRProvider, FHIRStarter, InteractionContext

database = sqlite3.connect(os.environ["PEER_DATABASE"], check_same_thread=False)
database.execute("PRAGMA journal_mode = WAL")
database.execute("PRAGMA synchronous = FULL")
database.execute("CREATE TABLE IF NOT EXISTS service_request (id TEXT PRIMARY KEY, content TEXT NOT NULL)")
one_writer = Lock()
provider = FHIRProvider()


@provider.create(ServiceRequest)
def create(context: InteractionContext, resource: ServiceRequest) -> str:  # noqa: ARG001 - fhirstarter fixes the shape
    resource.id = str(uuid4())
    text = resource.model_dump_json()
    with one_writer, database:
        database.execute("INSERT INTO service_request VALUES (?, ?)", (resource.id, text))
    return resource.id


app = FHIRStarter()
app.add_providers(provider)
