"""Stored facts -> what the pages show: plain values in plain words. No Flask, no SQL, no clock of its own."""
