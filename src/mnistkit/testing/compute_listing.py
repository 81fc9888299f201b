"""The contracts of `SupportsRunRows` and `SupportsSources`, as tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from mnistkit.errors import RunNotFoundError
from mnistkit.interfaces import ComputeBackend, DataSource, SupportsRunRows, SupportsSources
from mnistkit.jobs.job import ScriptJob
from mnistkit.runs.row import RunRow
from mnistkit.testing.compute_base import ComputeSuiteBase

__all__ = ["ListingSuite"]

_SCRIPT = "from mnistkit import get_context\nget_context().log('loss', 0.25)\n"
_UNKNOWN = "20000101-000000-ffffff"


class ListingSuite(ComputeSuiteBase):
    """Promises about lists of runs and their sources; part of `ComputeBackendSuite`, skipped without the protocols."""

    interface = "SupportsRunRows"

    def test_rows_are_those_of_the_records(self, backend: ComputeBackend, source: DataSource, script: Path) -> None:
        """`run_rows` returns what the records of `ComputeBackend.runs` amount to, of all or one experiment."""
        if not isinstance(backend, SupportsRunRows):
            pytest.skip("the backend doesn't support run_rows")
        (script / "train.py").write_text(_SCRIPT)
        for experiment in ("contract", "other"):
            self.finished(backend, ScriptJob(str(script), experiment=experiment, tags={"a": "b"}), source)
        for which, count in ((None, 2), ("contract", 1)):
            records = backend.runs(which)
            assert backend.run_rows(which) == tuple(RunRow.of(record) for record in records)
            assert len(records) == count

    def test_sources_are_those_that_were_submitted(
        self, backend: ComputeBackend, source: DataSource, script: Path
    ) -> None:
        """`sources` returns the files as they were submitted, whatever became of the folder since."""
        if not isinstance(backend, SupportsSources):
            pytest.skip("the backend doesn't support sources")
        (script / "train.py").write_text(_SCRIPT)
        run = self.finished(backend, ScriptJob(str(script)), source)
        (script / "train.py").write_text("raise SystemExit('changed')\n")
        assert backend.sources(run.id) == {"train.py": _SCRIPT}
        with pytest.raises(RunNotFoundError):
            backend.sources(_UNKNOWN)
