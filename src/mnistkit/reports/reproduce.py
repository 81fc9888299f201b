"""How to make a run again, as far as what is known of it goes."""

from __future__ import annotations

import pprint
import shlex
from pathlib import PurePath

from mnistkit.jobs.job import TrainingJob
from mnistkit.reports.page import note, paragraph, preformatted
from mnistkit.runs.record import RunRecord
from mnistkit.utils.markup import Markup
from mnistkit.utils.redaction import redacted_arguments

__all__ = ["program", "reproduction"]

_WIDTH = 100


def reproduction(record: RunRecord) -> list[Markup]:
    """The code, the libraries and the program, step by step."""
    origin = record.provenance
    versions = dict(record.versions or (origin.versions if origin else {}))
    python = versions.pop("python", "")
    parts = []
    if origin and origin.commit:
        parts += [paragraph("Take the code as it was."), preformatted(f"git checkout {origin.commit}", "Commands")]
        if origin.is_dirty:
            parts.append(note("There were changes that aren't in that commit."))
    if versions:
        pins = " ".join(f"{name}=={version}" for name, version in sorted(versions.items()))
        parts += [
            paragraph(f"Install the libraries{f', with Python {python}' if python else ''}."),
            preformatted(f"python -m pip install {pins}", "Commands"),
        ]
    parts += [paragraph("Run it again from Python."), preformatted(program(record), "Python program", is_program=True)]
    if origin and origin.command:
        name = PurePath(origin.command[0]).name
        words = ["python", name] if name.endswith(".py") else [name]
        command = shlex.join(redacted_arguments([*words, *origin.command[1:]]))
        parts += [paragraph("It was submitted by this command."), preformatted(command, "Commands")]
    return parts


def program(record: RunRecord) -> str:
    """A Python program that submits the same job on the same data."""
    job = record.job
    trainer = f"trainer = Trainer.local(data={record.data!r}, experiment={job.experiment!r})"
    if isinstance(job, TrainingJob):
        params = pprint.pformat(dict(job.model.params), width=_WIDTH, sort_dicts=True)
        options = {"seed": job.seed, "limit": job.limit, "model_format": job.model_format}
        shown = ", ".join(f"{name}={value!r}" for name, value in options.items() if value is not None)
        return (
            "from mnistkit import ModelSpec, Trainer\n\n"
            f"{trainer}\n"
            f"model = ModelSpec({job.model.type!r}, {params}).build()\n"
            f"run = trainer.train(model, {shown})\n"
            "print(run.metrics)\n"
        )
    return (
        "from mnistkit import ScriptJob, Trainer\n\n"
        f"{trainer}\n"
        f"job = ScriptJob({job.source_directory!r}, {job.entry_script!r}, {redacted_arguments(job.arguments)!r})\n"
        "run = trainer.submit(job).wait()\n"
        "print(run.state, run.metrics)\n"
    )
