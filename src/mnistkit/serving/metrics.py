"""Counts and latencies of a server, as Prometheus reads them.

The format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable

__all__ = ["ServerMetrics"]

_LATENCY_BOUNDS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_MAX_LABELS = 1000  # a regressor has no end of labels, and Prometheus keeps a series for each


class ServerMetrics:
    """Counts what a server does. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._predictions: Counter[tuple[str, str]] = Counter()
        self._buckets: dict[str, list[int]] = {}
        self._seconds: Counter[str] = Counter()

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        with self._lock:
            self._requests[route, status] += 1
            buckets = self._buckets.setdefault(route, [0] * (len(_LATENCY_BOUNDS_SECONDS) + 1))
            buckets[sum(seconds > bound for bound in _LATENCY_BOUNDS_SECONDS)] += 1
            self._seconds[route] += seconds  # type: ignore[assignment]  # a Counter adds floats as well

    def count_labels(self, version: str, labels: Iterable[object]) -> None:
        """Count the labels that a version predicted."""
        found = Counter((version, str(label)) for label in labels)
        with self._lock:
            for key, count in found.items():
                if key in self._predictions or len(self._predictions) < _MAX_LABELS:
                    self._predictions[key] += count

    def render(self, gauges: Iterable[tuple[str, str, str, float]]) -> str:
        """Return the text for Prometheus.

        Args:
            gauges: Further values: name, ``counter`` or ``gauge``, labels such as ``{model="x"}``, and value.
        """
        with self._lock:
            lines = ["# TYPE mnistkit_requests_total counter"]
            lines += [
                f'mnistkit_requests_total{{route="{_escaped(route)}",status="{status}"}} {count}'
                for (route, status), count in sorted(self._requests.items())
            ]
            lines.append("# TYPE mnistkit_predictions_total counter")
            lines += [
                f'mnistkit_predictions_total{{version="{_escaped(version)}",label="{_escaped(label)}"}} {count}'
                for (version, label), count in sorted(self._predictions.items())
            ]
            lines.append("# TYPE mnistkit_request_seconds histogram")
            for route, buckets in sorted(self._buckets.items()):
                lines += self._histogram(route, buckets)
        for name, kind, labels, value in gauges:
            lines += [f"# TYPE {name} {kind}", f"{name}{labels} {value:g}"]
        return "\n".join(lines) + "\n"

    def _histogram(self, route: str, buckets: list[int]) -> Iterable[str]:
        """Yield cumulative counts, as the format wants them."""
        total = 0
        for bound, count in zip((*map(str, _LATENCY_BOUNDS_SECONDS), "+Inf"), buckets, strict=True):
            total += count
            yield f'mnistkit_request_seconds_bucket{{route="{_escaped(route)}",le="{bound}"}} {total}'
        yield f'mnistkit_request_seconds_sum{{route="{_escaped(route)}"}} {self._seconds[route]:.6f}'
        yield f'mnistkit_request_seconds_count{{route="{_escaped(route)}"}} {total}'


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
