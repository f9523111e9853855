"""Figures, not tests: run each by hand, `python -m tests.benchmarks.<name>`."""
