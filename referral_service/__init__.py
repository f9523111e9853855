"""Incoming ServiceRequests are checked, tagged with the right G24.x concept, and routed by age to a queue."""
