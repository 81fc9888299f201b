"""Graphs of runs: order, failures and cancellation."""

from __future__ import annotations

import threading
from typing import Any

import pytest

pytest.importorskip("h11")

from mnistkit.emulator.graph import GraphDriver, check_order
from mnistkit.emulator.routing import Refusal


class Runs:
    """Runs that end as they are told, as soon as they are started."""

    def __init__(self, **outcomes: str) -> None:
        self.states = {"graph": "Running"}
        self._outcomes = outcomes
        self.started: list[str] = []

    def get(self, run_id: str) -> dict[str, Any]:
        """Return a run's record."""
        return {"status": self.states[run_id]}

    def start(self, node: str) -> str:
        """Start a node's run."""
        self.started.append(node)
        self.states[node] = self._outcomes.get(node, "Completed")
        return node

    def cancel(self, run_id: str) -> None:
        """Cancel a run."""
        self.states[run_id] = "Canceled"


DIAMOND = {"d": {"b", "c"}, "b": {"a"}, "c": {"a"}, "a": set[str]()}


def drive(runs: Any, *, continues_on_failure: bool = False) -> tuple[str, str]:
    """Drive the diamond."""
    driver = GraphDriver(runs, runs.cancel, threading.Event(), lambda text: None)
    return driver.drive("graph", DIAMOND, runs.start, continues_on_failure=continues_on_failure)


def test_each_node_starts_after_those_before_it() -> None:
    """All nodes run, each once, in an order."""
    runs = Runs()
    assert drive(runs) == ("Completed", "")
    assert (runs.started[0], runs.started[-1]) == ("a", "d")
    assert sorted(runs.started) == ["a", "b", "c", "d"]


def test_what_depends_on_a_failure_never_starts() -> None:
    """A failed node is named; what depends on it isn't started, also if the others continue."""
    runs = Runs(b="Failed")
    assert drive(runs, continues_on_failure=True)[0] == "Failed"
    assert sorted(runs.started) == ["a", "b", "c"]
    first = Runs(a="Failed")
    status, error = drive(first)
    assert (status, first.started) == ("Failed", ["a"])
    assert "completed: a." in error


def test_a_canceled_graph_cancels_its_nodes() -> None:
    """Running nodes are canceled, and no other is started."""
    runs = Runs(a="Running")
    timer = threading.Timer(0.2, runs.states.update, [{"graph": "CancelRequested"}])
    timer.start()
    assert drive(runs) == ("Canceled", "")
    assert (runs.started, runs.states["a"]) == (["a"], "Canceled")


@pytest.mark.parametrize(
    ("nodes", "why"), [({"a": {"b"}, "b": {"a"}}, "wait for each other"), ({"a": {"x"}}, "there is no \\['x'\\]")]
)
def test_graphs_without_an_order_are_refused(nodes: dict[str, set[str]], why: str) -> None:
    """A circle, and a node that isn't there."""
    with pytest.raises(Refusal, match=why):
        check_order(nodes)
