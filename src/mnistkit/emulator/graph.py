"""Graphs of runs: each node is started when those before it are completed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping

from mnistkit.emulator.routing import Refusal
from mnistkit.emulator.services.runs import FINAL, Runs

__all__ = ["GraphDriver", "check_order"]

_POLL_SECONDS = 0.1
_RUNNING_STATES = frozenset({"NotStarted", "Queued", "Preparing", "Running"})


class GraphDriver:
    """Drives one graph, whatever its nodes are.

    Args:
        runs: The runs of the graph and of its nodes.
        cancel: Cancels a node's run by its id; idempotent.
        stopping: Set when the emulator stops.
        note: Called with a line for the log of the graph.
    """

    def __init__(
        self, runs: Runs, cancel: Callable[[str], None], stopping: threading.Event, note: Callable[[str], None]
    ) -> None:
        self._runs, self._cancel, self._stopping, self._note = runs, cancel, stopping, note

    def drive(
        self,
        run_id: str,
        nodes: Mapping[str, Collection[str]],
        start: Callable[[str], str],
        *,
        continues_on_failure: bool,
    ) -> tuple[str, str]:
        """Start nodes and watch them until all have finished; return the graph's final state and its error.

        Args:
            run_id: Of the graph's run: if that is to be canceled, its nodes are.
            nodes: For each node those that have to be completed before it.
            start: Starts a node by its name, and returns its run's id.
            continues_on_failure: Start what doesn't depend on a node that failed.
        """
        children: dict[str, str] = {}
        told: set[str] = set()
        while not self._stopping.is_set():
            states = {node: str(self._runs.get(child)["status"]) for node, child in children.items()}
            completed = {node for node, state in states.items() if state == "Completed"}
            failed = sorted(node for node, state in states.items() if state in FINAL and state != "Completed")
            running = [children[node] for node, state in states.items() if state not in FINAL]
            for node in sorted((completed | set(failed)) - told):
                told.add(node)
                self._note(f"{node} is {states[node]}.")
            is_canceled = self._runs.get(run_id)["status"] not in _RUNNING_STATES
            if is_canceled:
                for child in running:
                    self._cancel(child)
            may_start = not is_canceled and (not failed or continues_on_failure)
            ready = [name for name, before in nodes.items() if name not in children and set(before) <= completed]
            for name in ready if may_start else ():
                children[name] = start(name)
                self._note(f"Started {name} as {children[name]}.")
            if not running and not (ready and may_start):
                return _outcome(failed, is_canceled=is_canceled)
            self._stopping.wait(_POLL_SECONDS)
        return "Failed", "The emulator was stopped."


def check_order(nodes: Mapping[str, Collection[str]]) -> None:
    """Check that each node can be reached.

    Raises:
        Refusal: 400: a node depends on one that isn't there, or on itself.
    """
    done: set[str] = set()
    left = dict(nodes)
    while left:
        ready = [name for name, before in left.items() if set(before) <= done]
        if not ready:
            missing = sorted({name for before in left.values() for name in before} - set(nodes))
            why = f"there is no {missing}" if missing else f"{sorted(left)} wait for each other"
            raise Refusal(400, f"The graph has no order: {why}.")
        done |= set(ready)
        left = {name: before for name, before in left.items() if name not in done}


def _outcome(failed: Collection[str], *, is_canceled: bool) -> tuple[str, str]:
    if is_canceled:
        return "Canceled", ""
    if failed:
        return "Failed", f"These steps weren't completed: {', '.join(failed)}. Their own logs say why."
    return "Completed", ""
