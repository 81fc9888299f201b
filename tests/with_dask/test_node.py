"""What a worker does with the folders of runs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from mnistkit.dask import node
from mnistkit.data.folders import DigitsSource
from mnistkit.jobs.job import TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.record import RunState


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
