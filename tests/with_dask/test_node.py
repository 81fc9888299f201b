"""What a worker does with the folders of runs."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from mnistkit.dask import DaskCompute, node
from mnistkit.data.folders import DigitsSource
from mnistkit.jobs.job import ScriptJob, TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run


def test_a_run_that_is_being_removed_is_not_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that collects a run early gets all of it or nothing, when its task ends at that moment."""
    store = RunStore(tmp_path / "start")
    run_id = store.create(TrainingJob(model=ModelSpec("sklearn.dummy.DummyClassifier")), DigitsSource().uri)
    folder = store.folder(run_id)
    (folder / "metrics.jsonl").write_text("{}\n")
    store.advance(run_id, RunState.COMPLETED)
    found, removed = [], shutil.rmtree

    def removed_halfway(path: Path, **options: Any) -> None:
        for each in Path(path).glob("*/metrics.jsonl"):
            each.unlink()
        found.append(node._result_of(folder))
        removed(path, **options)

    monkeypatch.setattr(node.shutil, "rmtree", removed_halfway)
    assert node._result_of(folder) is not None
    node._remove(tmp_path / "start")
    assert found == [None, None]
    assert list(tmp_path.iterdir()) == []


def test_no_log_is_shown_before_the_scheduler_knows_that_the_run_has_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a run whose log somebody has read would begin again, as if it never had, when its worker is lost."""
    monkeypatch.setattr(node, "_REPORT_SECONDS", 1.5)
    script = "import time\nfor i in range(80):\n    print(i, flush=True)\n    time.sleep(0.05)\n"
    (tmp_path / "script").mkdir()
    (tmp_path / "script" / "train.py").write_text(script)
    backend = DaskCompute(tmp_path / "home")
    run = Run(backend, backend.submit(ScriptJob(str(tmp_path / "script")), DigitsSource()))
    end = time.monotonic() + 60
    while not run.logs():
        assert time.monotonic() < end
        time.sleep(0.02)
    assert run.refresh().state is not RunState.QUEUED
    run.cancel()
    run.wait(60)
