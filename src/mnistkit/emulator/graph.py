"""Graphs of runs: each node is started when those before it are completed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping

from mnistkit.emulator.payloads import now
from mnistkit.emulator.routing import Refusal
from mnistkit.emulator.services.artifacts import ORIGIN, Artifacts, container_of
from mnistkit.emulator.services.runs import FINAL, Runs

__all__ = ["PIPELINE_RUN_TYPE", "GraphDriver", "PipelineThreads", "check_order"]

PIPELINE_RUN_TYPE = "azureml.PipelineRun"

_logger = logging.getLogger(__name__)
_LOG_PATH = "logs/azureml/executionlogs.txt"
_TAIL_HEADING = " The last lines of "  # of a log, which is left to the node's own error
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
                self._note(f"{node} is {states[node]}.{self._reason(children[node])}")
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
                reasons = {node: self._reason(children[node]) for node in failed}
                return _outcome(reasons, is_canceled=is_canceled)
            self._stopping.wait(_POLL_SECONDS)
        return "Failed", "The emulator was stopped."

    def _reason(self, run_id: str) -> str:
        """Return the first line of a run's error, after a space; empty for none."""
        error = (self._runs.get(run_id).get("error") or {}).get("error") or {}
        text = str(error.get("message") or "")
        return f" {text.splitlines()[0].partition(_TAIL_HEADING)[0]}" if text else ""


class PipelineThreads:
    """Drives the graphs of pipelines, of either version of the SDK, each on a thread of its own.

    Args:
        runs: The runs of the pipelines; those that were running when the state was last closed are Failed.
        artifacts: Where their logs are kept.
    """

    def __init__(self, runs: Runs, artifacts: Artifacts) -> None:
        self._runs, self._artifacts = runs, artifacts
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        for run_id in runs.ids():
            if runs.get(run_id)["runType"] == PIPELINE_RUN_TYPE:
                runs.move(run_id, "Failed", error="The emulator was stopped while the pipeline ran.")

    def stop(self) -> None:
        """Start no more nodes; idempotent. The jobs service ends the running ones."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def start(
        self,
        run_id: str,
        nodes: Mapping[str, Collection[str]],
        start: Callable[[str], str],
        cancel: Callable[[str], None],
        *,
        continues_on_failure: bool,
    ) -> None:
        """Start the pipeline of a run that is there already.

        Args:
            run_id: Of the pipeline's run.
            nodes: As for `GraphDriver.drive`, and so `start` and `continues_on_failure`.
            start: Starts a node.
            cancel: Cancels a node's run by its id; idempotent.
            continues_on_failure: Start what doesn't depend on a node that failed.
        """

        def drive() -> None:
            log = self._artifacts.open_log(ORIGIN, container_of(run_id), _LOG_PATH)

            def note(text: str) -> None:
                with log.open("a", encoding="utf-8") as stream:
                    stream.write(f"[{now()}] {text}\n")

            driver = GraphDriver(self._runs, cancel, self._stopping, note)
            try:
                status, error = driver.drive(run_id, nodes, start, continues_on_failure=continues_on_failure)
            except Exception:
                _logger.exception("The pipeline %s can't continue.", run_id)
                status, error = "Failed", "The emulator has a bug; its log says more."
            self._runs.move(run_id, status, error=error)

        with self._runs.change(run_id) as record:
            record |= {"runType": PIPELINE_RUN_TYPE, "status": "Running", "startTimeUtc": now()}
        thread = threading.Thread(target=drive, name=run_id, daemon=True)
        self._threads = [each for each in self._threads if each.is_alive()] + [thread]
        thread.start()


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


def _outcome(failed: Mapping[str, str], *, is_canceled: bool) -> tuple[str, str]:
    if is_canceled:
        return "Canceled", ""
    if failed:
        told = "\n".join(f"{node}:{reason or ' its log says why.'}" for node, reason in failed.items())
        return "Failed", f"These steps weren't completed:\n{told}"
    return "Completed", ""
