"""The report of a run or a sweep as a file."""

from __future__ import annotations

import os
from pathlib import Path

from mnistkit.reports.overview import overview_page
from mnistkit.reports.run import run_report
from mnistkit.reports.sweep import sweep_report
from mnistkit.reports.writing import default_name, write_report
from mnistkit.runs.run import Run
from mnistkit.runs.table import RunTable
from mnistkit.sweeps.sweep import Sweep
from mnistkit.utils.arguments import check_path, check_type

__all__ = ["report"]


def report(of: Run | Sweep | RunTable, path: str | os.PathLike[str] | None = None) -> Path:
    """Write the report of a run, a sweep, or a table of runs, and return its path.

    Args:
        of: The run, the sweep, or the table.
        path: The file; None for ``report-ID.html``, or ``report-runs.html`` of a table, in the working directory. An
            existing one is replaced.

    Raises:
        StorageError: It can't be written.
    """
    check_type(of, (Run, Sweep, RunTable), "of", "the run or the sweep itself, such as trainer.run(id)")
    if path is not None:
        check_path(path, "path")
    if isinstance(of, RunTable):
        return write_report(overview_page(of), path or default_name("runs"))
    if isinstance(of, Sweep):
        return write_report(sweep_report(of), path or default_name(of.name))
    return write_report(run_report(of), path or default_name(of.id))
