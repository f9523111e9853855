"""The EHRs that are read from."""
