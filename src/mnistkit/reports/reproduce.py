"""Steps that reproduce a run, as far as its record goes."""

from __future__ import annotations

import pprint
import shlex
from pathlib import PurePath

from mnistkit.jobs.job import TrackedJob, TrainingJob
from mnistkit.reports.page import Section
from mnistkit.runs.folder.snapshot import CODE
from mnistkit.runs.record import RunRecord
from mnistkit.utils.redaction import redacted_arguments

__all__ = ["program", "reproduce_section"]

_MAX_LINE_CHARS = 100


def reproduce_section(record: RunRecord) -> Section:
    """Return the code, the libraries and the program, step by step."""
    origin = record.provenance
    versions = dict(record.versions or (origin.versions if origin else {}))
    python = versions.pop("python", "")
    values = {
        "commit": origin.commit if origin else None,
        "is_dirty": origin is not None and origin.is_dirty,
        "python": python,
        "pins": " ".join(f"{name}=={version}" for name, version in sorted(versions.items())),
        "program": program(record),
        "command": _command(origin.command) if origin and origin.command else "",
    }
    return Section("How to reproduce", "reproduce.html", values)


def program(record: RunRecord) -> str:
    """Return a Python program that submits the same job on the same data."""
    job = record.job
    trainer = f"trainer = Trainer.local(data={record.data!r}, experiment={job.experiment!r})"
    if isinstance(job, TrainingJob):
        params = pprint.pformat(dict(job.model.params), width=_MAX_LINE_CHARS, sort_dicts=True)
        options = {"seed": job.seed, "limit": job.limit, "model_format": job.model_format}
        shown = ", ".join(f"{name}={value!r}" for name, value in options.items() if value is not None)
        return (
            "from mnistkit import ModelSpec, Trainer\n\n"
            f"{trainer}\n"
            f"model = ModelSpec({job.model.type!r}, {params}).build()\n"
            f"run = trainer.train(model, {shown})\n"
            "print(run.metrics)\n"
        )
    if isinstance(job, TrackedJob):
        return f"# {job.program} fitted it itself: run that again. Its source is in the run's folder, {CODE!r}.\n"
    return (
        "from mnistkit import ScriptJob, Trainer\n\n"
        f"{trainer}\n"
        f"job = ScriptJob({job.source_directory!r}, {job.entry_script!r}, {redacted_arguments(job.arguments)!r})\n"
        "run = trainer.submit(job).wait()\n"
        "print(run.state, run.metrics)\n"
    )


def _command(command: tuple[str, ...]) -> str:
    """Return the command line without the folder of its program, and without secrets."""
    name = PurePath(command[0]).name
    words = ["python", name] if name.endswith(".py") else [name]
    return shlex.join(redacted_arguments([*words, *command[1:]]))
