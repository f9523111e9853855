"""What /metrics says, as Prometheus reads it."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    """(name, labels in order) -> value."""
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    """0 where there is none, as a rate takes it."""
    return found.get((f"referral_{name}", tuple(sorted(labels.items()))), 0.0)


def labels_of(found: Samples) -> dict[str, set[str]]:
    """The labels that each name comes with."""
    named: dict[str, set[str]] = {}
    for name, labels in found:
        named.setdefault(name, set()).update(key for key, _ in labels)
    return named
