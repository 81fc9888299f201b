"""On the node of a job that the SDK v1 submitted: what the node's processes need of the SDK.

``python -m mnistkit.azureml.v1.node FOLDER DATA_FOLDER`` runs one attempt.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from mnistkit.azureml.node import job
from mnistkit.azureml.node.forwarding import RunWriter
from mnistkit.azureml.v1._sdk import log_scalar, submitted_run

__all__ = ["SdkRunWriter", "main"]


class SdkRunWriter(RunWriter):
    """Writes to a run of the SDK.

    Args:
        run: The SDK's run.
    """

    def __init__(self, run: Any) -> None:
        self._run = run

    def log_scalar(self, name: str, value: float, step: int | None, at: datetime) -> None:
        """Log one value of a metric."""
        log_scalar(self._run, name, value, step, at)

    def log_image(self, name: str, path: Path) -> None:
        """Log a PNG file; its name in the workspace is its path from here."""
        self._run.log_image(name, path=os.path.relpath(path))

    def log_matrix(self, name: str, matrix: Sequence[Sequence[float]], labels: Sequence[str]) -> None:
        """Log a confusion matrix, which the studio draws."""
        data = {"class_labels": labels, "matrix": matrix}
        self._run.log_confusion_matrix(
            name, {"schema_type": "confusion_matrix", "schema_version": "1.0.0", "data": data}
        )

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        self._run.set_tags(dict(tags))

    def remove_tags(self, names: Sequence[str]) -> None:
        """Remove tags."""
        self._run.remove_tags(list(names))

    def add_properties(self, properties: Mapping[str, str]) -> None:
        """Add properties."""
        self._run.add_properties(dict(properties))

    def flush(self) -> None:
        """Wait until Azure has all metrics."""
        self._run.flush()


def main(folder: Path) -> None:
    """Run the job in ``folder``, and exit with its exit code; see `mnistkit.azureml.node.job.main`."""
    run = submitted_run()
    job.main(folder, None if run is None else SdkRunWriter(run), __name__)


def _flush() -> None:
    """Send what a script has logged through the SDK itself, which buffers it."""
    if "azureml.core.run" in sys.modules:
        with contextlib.suppress(Exception):
            run = submitted_run()
            if run is not None:
                run.flush()


if __name__ == "__main__":
    from mnistkit.azureml.node import attempt  # the job's process doesn't need what it imports

    attempt.main(_flush)
