"""Runs in processes of their own, whatever is done to them in whatever order."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from mnistkit.interfaces import DataSource
from mnistkit.jobs.job import ScriptJob
from mnistkit.local.processes.compute import ProcessCompute
from mnistkit.runs.record import RunRecord, RunState
from mnistkit.runs.run import Run

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs fork")

DEADLINE = 60.0
SCRIPT = "import os, sys, time\ntime.sleep(int(sys.argv[1]) / 1000)\nprint('done')\nsys.exit(int(sys.argv[2]))\n"


class Runs(RuleBasedStateMachine):
    """Submits, cancels, waits, deletes and comes back as another handle; a model says what must be true of each run."""

    source: DataSource
    runs = Bundle("runs")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        (self.folder / "script").mkdir()
        (self.folder / "script" / "train.py").write_text(SCRIPT)
        self.backend = ProcessCompute(self.folder, parallel=2, grace=0.2)
        self.codes: dict[str, int] = {}
        self.canceled: set[str] = set()
        self.ended: dict[str, RunRecord] = {}

    @rule(target=runs, milliseconds=st.integers(0, 50), code=st.sampled_from([0, 0, 0, 3]), count=st.integers(1, 3))
    def submit(self, milliseconds: int, code: int, count: int) -> object:
        """A script that takes so long and exits with that."""
        job = ScriptJob(str(self.folder / "script"), arguments=(milliseconds, code))
        ids = [self.backend.submit(job, self.source).id for _ in range(count)]
        self.codes.update(dict.fromkeys(ids, code))
        return multiple(*ids)

    @rule(run_id=runs)
    def cancel(self, run_id: str) -> None:
        """Once or again, before or after the end."""
        before = self.backend.get(run_id)
        self.backend.cancel(run_id)
        after = self.backend.get(run_id)
        assert after.state is not RunState.QUEUED
        if before.state.is_terminal:
            assert after == before
        else:
            self.canceled.add(run_id)

    @rule(run_id=runs)
    def wait(self, run_id: str) -> None:
        """For the end."""
        self.see(Run(self.backend, self.backend.get(run_id)).wait(DEADLINE).record)

    @rule(run_id=consumes(runs))
    def delete(self, run_id: str) -> None:
        """Once it has ended."""
        self.wait(run_id)
        self.backend.delete_run(run_id)
        del self.codes[run_id]

    @rule()
    def come_back(self) -> None:
        """Another object on the same home."""
        self.backend = ProcessCompute(self.folder, parallel=2, grace=0.2)

    @invariant()
    def all_are_listed(self) -> None:
        """And none that ended changes."""
        records = {record.id: record for record in self.backend.runs()}
        assert records.keys() == self.codes.keys()
        for record in records.values():
            if record.state.is_terminal:
                self.see(record)

    def see(self, record: RunRecord) -> None:
        """Check one that has ended."""
        assert self.ended.setdefault(record.id, record) == record
        usual = RunState.FAILED if self.codes[record.id] else RunState.COMPLETED
        assert record.state in ({usual, RunState.CANCELED} if record.id in self.canceled else {usual})
        assert (record.error is not None) == (record.state is RunState.FAILED)
        states = [
            RunState(each["state"]) for each in json.loads(Path(record.url, "record.json").read_text())["transitions"]
        ]
        assert [state.is_terminal for state in states] == [False] * (len(states) - 1) + [True]
        order = [list(RunState).index(state) for state in states]
        assert order == sorted(set(order))
        assert (
            len(record.attempts) == (0 if RunState.PREPARING not in states else 1) or record.state is RunState.CANCELED
        )

    def teardown(self) -> None:
        """Wait for what goes on."""
        for run_id in self.codes:
            self.wait(run_id)
        shutil.rmtree(self.folder)


@pytest.mark.parametrize(
    ("examples", "steps"), [(4, 8), pytest.param(100, 30, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]
)
def test_any_order_of_doing(tiny_mnist: DataSource, examples: int, steps: int) -> None:
    """Whatever is submitted, canceled, awaited and deleted, in any order, each run ends once, as it should."""
    Runs.source = tiny_mnist
    run_state_machine_as_test(
        Runs,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
