"""The wire: what FHIR R4 looks like as it comes in and as it goes out."""
