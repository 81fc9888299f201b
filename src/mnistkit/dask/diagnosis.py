"""Findings of ``mnistkit doctor`` about a Dask cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mnistkit.dask._sdk import Connection
from mnistkit.dask.plugin import RunsPlugin

__all__ = ["diagnose"]

_COMPARED = ("python", "mnistkit", "numpy", "sklearn", "skops", "distributed")
_COMPARED_PARTS = 2  # of a version: 1.9 of 1.9.1
_CHECK = "dask"


def diagnose(options: Mapping[str, Any]) -> list[tuple[str, bool, str]]:
    """Return findings, as (check, whether it is right, detail), about the cluster that a configuration names.

    Args:
        options: Those of `mnistkit.dask.DaskCompute`.

    Raises:
        ServiceError: The scheduler doesn't respond.
        UsageError: ``security`` can't be understood.
    """
    address = options.get("address")
    if address is None:
        return [(_CHECK, True, "no address: the workers are started in the program")]
    connection = Connection(None, str(address), options.get("security"), 1, RunsPlugin())
    try:
        workers, versions, count = connection.workers(), connection.versions(), connection.count()
    finally:
        connection.close()
    threads = sum(worker["nthreads"] for worker in workers.values())
    room = f"{len(workers)} workers with room for {threads} runs"
    found = [(_CHECK, bool(workers), f"{address}: {room}; {count['running']} running, {count['queued']} queued")]
    here = versions.pop("here")
    for name, theirs in versions.items():
        other = [
            f"{each} {theirs.get(each) or 'missing'} (here {here[each]})"
            for each in _COMPARED
            if _minor(theirs.get(each)) != _minor(here[each])
        ]
        known = ", ".join(f"{each} {theirs.get(each)}" for each in _COMPARED)
        found.append((f"{_CHECK} {name}", not other, f"has {', '.join(other)}" if other else known))
    return found


def _minor(version: str | None) -> list[str]:
    return (version or "").split(".")[:_COMPARED_PARTS]
