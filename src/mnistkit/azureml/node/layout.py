"""The names of what mnistkit sends along with a job and finds on the node; the standard library alone."""

from __future__ import annotations

__all__ = [
    "CODE_FOLDER",
    "ERROR_FILE",
    "JOB_FILE",
    "JOB_FOLDER",
    "LIBRARY_FILE",
    "MANIFEST_FILE",
    "PICTURES_FILE",
    "RUN_FOLDER",
]

JOB_FOLDER = "mnistkit_job"
"""The folder beside the script that holds what mnistkit sends along."""

JOB_FILE = "job.json"
"""The job, in `JOB_FOLDER`."""

CODE_FOLDER = "code"
"""The user's modules that a training job needs, in `JOB_FOLDER`."""

LIBRARY_FILE = "mnistkit.zip"
"""The source of mnistkit, in `JOB_FOLDER`."""

RUN_FOLDER = "run"
"""The run folder of the present attempt, in `JOB_FOLDER`."""

ERROR_FILE = "error.json"
"""The error of a failed training, in `RUN_FOLDER`."""

PICTURES_FILE = "pictures.jsonl"
"""The file in `RUN_FOLDER` that names the images and matrices that were logged, one JSON object a line."""

MANIFEST_FILE = "logs/mnistkit/manifest.json"
"""The file of a run with the sizes and sha256s of its outputs; its own sha256 is among the run's properties."""
