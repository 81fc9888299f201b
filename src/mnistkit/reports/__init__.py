"""Reports: all that is known of a run or a sweep, as one HTML file that loads nothing and runs nothing.

What can't be had any more (the data, the model, pictures) is said to be missing, and why: a report never fails for it.
"""

from __future__ import annotations

from mnistkit.reports.run import run_report
from mnistkit.reports.sweep import sweep_report
from mnistkit.reports.writing import default_name, write_report

__all__ = ["default_name", "run_report", "sweep_report", "write_report"]
