"""The contract of `SupportsAnnotations`, as tests."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mnistkit.errors import RunNotFoundError, UsageError
from mnistkit.interfaces import ComputeBackend, DataSource, SupportsAnnotations
from mnistkit.jobs.job import TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run
from mnistkit.testing.compute_base import ComputeSuiteBase, HeldData

__all__ = ["AnnotationSuite"]

_JOB = TrainingJob(model=ModelSpec("sklearn.naive_bayes.GaussianNB"), tags={"purpose": "test", "stays": "yes"})


class AnnotationSuite(ComputeSuiteBase):
    """Promises about tags and notes; part of `ComputeBackendSuite`, skipped without `SupportsAnnotations`."""

    interface = "SupportsAnnotations"

    def test_tags_and_notes_are_added_afterwards(self, backend: ComputeBackend, source: DataSource) -> None:
        """Tags and notes of a finished run are in its record at once, in the listing, and for later processes."""
        annotated = _annotated(backend)
        run = self.finished(backend, _JOB, source)
        annotated.annotate_run(run.id, {"purpose": "kept", "Prüfer": "Jörg = 1"}, "first line\nsecond line")
        annotated.annotate_run(run.id, {"gone": "soon"}, "later")
        annotated.annotate_run(run.id, {"gone": None, "never there": None})
        record = backend.get(run.id)
        tags = {key: record.tags[key] for key in ("purpose", "stays", "Prüfer")}
        assert tags == {"purpose": "kept", "stays": "yes", "Prüfer": "Jörg = 1"}
        assert not {"gone", "never there"} & set(record.tags)
        assert record.note == "first line\nsecond line\nlater"
        assert record.job == run.record.job
        assert record.transitions == run.record.transitions
        assert backend.runs() == (record,)
        annotated.annotate_run(run.id, {}, "the only one", replace_note=True)
        assert backend.get(run.id).note == "the only one"
        annotated.annotate_run(run.id, {}, "", replace_note=True)
        assert backend.get(run.id).note == ""

    def test_a_running_job_and_a_colleague_lose_nothing(
        self, backend: ComputeBackend, source: DataSource, tmp_path: Path
    ) -> None:
        """A run that hasn't finished takes tags of several threads at once; none is lost, and it completes."""
        annotated = _annotated(backend)
        held = HeldData(source, tmp_path / "gate", min(self.deadline, 5))
        run = Run(backend, backend.submit(_JOB, held))
        held.gate.touch()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda n: annotated.annotate_run(run.id, {f"tag {n}": str(n)}), range(8)))
        expected = {f"tag {n}": str(n) for n in range(8)}
        for _ in run.poll(self.deadline):
            if run.record.started_at is not None and "late" not in expected:
                annotated.annotate_run(run.id, expected := {**expected, "late": "yes"})
                run.refresh()
            assert expected.items() <= run.record.tags.items()
        assert run.state is RunState.COMPLETED, run.error

    def test_what_is_no_text_is_refused(self, backend: ComputeBackend, source: DataSource) -> None:
        """Tags and notes that aren't text are a `UsageError`, unknown runs a `RunNotFoundError`; nothing changes."""
        annotated = _annotated(backend)
        run = self.finished(backend, _JOB, source)
        for tags, note in (({"a": ["b"]}, None), ({"": "b"}, None), ({"a": "\ud800"}, None), ({}, 7), ({}, "\ud800")):
            with pytest.raises(UsageError):
                annotated.annotate_run(run.id, tags, note)  # type: ignore[arg-type]  # what callers get wrong
        for run_id in ("20000101-000000-ffffff", "../../etc", ""):
            with pytest.raises(RunNotFoundError):
                annotated.annotate_run(run_id, {"a": "b"})
        assert backend.get(run.id) == run.record


def _annotated(backend: ComputeBackend) -> SupportsAnnotations:
    if not isinstance(backend, SupportsAnnotations):
        pytest.skip(f"{type(backend).__name__} doesn't support it")
    return backend
