"""Jobs: values that go to JSON and back."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final, Literal

from attrs import field, frozen

from mnistkit.errors import NotFoundError, UsageError
from mnistkit.jobs import checks
from mnistkit.jobs.checks import ModelFormat, RetryCause
from mnistkit.jobs.environment import Environment
from mnistkit.jobs.fingerprint import Fingerprint, model_fingerprint, program_fingerprint, script_fingerprint
from mnistkit.jobs.spec import ModelSpec
from mnistkit.utils.summary import Cell, Summary
from mnistkit.utils.text import duration

__all__ = ["DATA_FOLDER", "Job", "ModelFormat", "RetryCause", "ScriptJob", "TrackedJob", "TrainingJob"]

DATA_FOLDER: Final = "${DATA_FOLDER}"
"""Stands in a script's arguments for the folder with the data, wherever the backend puts it."""


@frozen(kw_only=True)
class TrainingJob:
    """Fit this scikit-learn classifier on the data that it is submitted with.

    Attributes:
        model: The classifier, or a pipeline that ends in one.
        seed: Seed for every ``random_state`` that isn't set.
        limit: The number of training images, a stratified subset; None for all.
        model_format: ``"skops"``; ``"linear"`` for linear models as plain numbers; ``"joblib"`` for the tutorial's
            ``outputs/sklearn_mnist_model.pkl``.
        experiment: Groups runs.
        tags: Free text by key.
        timeout: Seconds that one attempt may take; None for no limit.
        retries: How many more attempts to make after one that ended badly.
        retry_on: Which bad ends are worth another attempt.
        fingerprint: What its result depends on, as `Trainer.submit` found it. It isn't part of the job: jobs are
            equal with and without it.
    """

    model: ModelSpec
    seed: int = field(default=42, converter=checks.seed)
    limit: int | None = field(default=None, converter=checks.limit)
    model_format: ModelFormat = field(default="skops", converter=checks.model_format)
    experiment: str = field(default="default", converter=checks.experiment_name)
    tags: Mapping[str, str] = field(factory=dict, converter=checks.tags)
    timeout: float | None = field(default=None, converter=checks.timeout)
    retries: int = field(default=0, converter=checks.retries)
    retry_on: tuple[RetryCause, ...] = field(default=("killed", "error"), converter=checks.retry_causes)
    fingerprint: Fingerprint | None = field(default=None, eq=False, repr=False)
    kind: Literal["training"] = field(default="training", repr=False)

    def describe(self) -> Summary:
        """Return what it trains, and how: the title is the classifier in one line."""
        facts: dict[str, Cell] = {
            "Classifier": str(self.model),
            "Class": self.model.type,
            "Seed": str(self.seed),
            "Training images": "all" if self.limit is None else f"at most {self.limit:,}, each class in proportion",
            "Model format": self.model_format,
        }
        return Summary(title=str(self.model), facts=facts | _limits(self))

    def fingerprint_on(self, data: Mapping[str, str]) -> Fingerprint:
        """Return what the result depends on, on data with these digests; see `Fingerprint`.

        Experiment, tags, time limit and retries aren't part of it.

        Raises:
            SpecError: The estimator can't be imported, or its source has changed since it was imported.
        """
        return model_fingerprint(
            self.model, seed=self.seed, limit=self.limit, model_format=self.model_format, data=data
        )


@frozen
class ScriptJob:
    """Run a Python script of the user's, with its folder.

    The script runs in a copy of the folder, as its working directory. What it writes to ``./outputs`` is kept
    with the run; `mnistkit.get_context` in it logs metrics to the run.

    Attributes:
        source_directory: The folder with the script and whatever it imports.
        entry_script: The script, relative to that folder.
        arguments: Its command line; `DATA_FOLDER` stands for the data. Values are turned into text.
        environment: What it needs; None for what is installed here.
        experiment: Groups runs.
        tags: Free text by key.
        timeout: Seconds that one attempt may take; None for no limit.
        retries: How many more attempts to make after one that ended badly.
        retry_on: Which bad ends are worth another attempt.
        fingerprint: As in `TrainingJob`.
    """

    source_directory: str = field(converter=checks.source_folder)
    entry_script: str = field(default="train.py", converter=checks.entry_script)
    arguments: tuple[str, ...] = field(default=(), converter=checks.arguments)
    environment: Environment | None = field(default=None, kw_only=True)
    experiment: str = field(default="default", converter=checks.experiment_name, kw_only=True)
    tags: Mapping[str, str] = field(factory=dict, converter=checks.tags, kw_only=True)
    timeout: float | None = field(default=None, converter=checks.timeout, kw_only=True)
    retries: int = field(default=0, converter=checks.retries, kw_only=True)
    retry_on: tuple[RetryCause, ...] = field(default=("killed", "error"), converter=checks.retry_causes, kw_only=True)
    fingerprint: Fingerprint | None = field(default=None, eq=False, repr=False, kw_only=True)
    kind: Literal["script"] = field(default="script", repr=False, kw_only=True)

    def describe(self) -> Summary:
        """Return what it runs: the title is the script with its arguments, in one line."""
        needed = self.environment
        facts: dict[str, Cell] = {
            "Script": self.entry_script,
            "Folder": self.source_directory,
            "Arguments": shlex.join(self.arguments),
            "Environment": needed.name if needed else None,
            "Variables": ", ".join(needed.variables) if needed else None,
        }
        return Summary(title=" ".join((self.entry_script, *self.arguments)), facts=facts | _limits(self))

    def fingerprint_on(self, data: Mapping[str, str]) -> Fingerprint:
        """Return what the result depends on, on data with these digests; see `Fingerprint`.

        Experiment, tags, time limit and retries aren't part of it.

        Raises:
            NotFoundError: The folder or the script doesn't exist.
            UsageError: The folder is too large.
        """
        self.check()
        folder = Path(self.source_directory)
        return script_fingerprint(folder, self.entry_script, self.arguments, self.environment, data)

    def check(self) -> None:
        """Check that the folder and the script exist.

        Raises:
            NotFoundError: They aren't.
        """
        folder = Path(self.source_directory)
        if not folder.is_dir():
            raise NotFoundError(f"{folder.absolute()} is not a folder: name the folder that holds {self.entry_script}.")
        if not (folder / self.entry_script).is_file():
            scripts = sorted(path.name for path in folder.glob("*.py"))
            raise NotFoundError(
                f"{folder.absolute()} holds no {self.entry_script}; its scripts: {', '.join(scripts) or 'none'}."
            )


@frozen(kw_only=True)
class TrackedJob:
    """A fit that the user's own program carries out, and records as a run with `Trainer.start_run`.

    No backend runs it.

    Attributes:
        name: For people.
        program: The file name of the script; ``"notebook"`` or ``"interactive"`` where there is none.
        experiment: Groups runs.
        tags: Free text by key.
        fingerprint: As in `TrainingJob`.
    """

    timeout: ClassVar[float | None] = None
    retries: ClassVar[int] = 0
    retry_on: ClassVar[tuple[RetryCause, ...]] = ()

    name: str = field(converter=checks.fit_name)
    program: str = ""
    experiment: str = field(default="default", converter=checks.experiment_name)
    tags: Mapping[str, str] = field(factory=dict, converter=checks.tags)
    fingerprint: Fingerprint | None = field(default=None, eq=False, repr=False)
    kind: Literal["tracked"] = field(default="tracked", repr=False)

    def describe(self) -> Summary:
        """Return its name and program: the title is the name."""
        return Summary(title=self.name, facts={"Name": self.name, "Fitted by": self.program})

    def fingerprint_on(self, data: Mapping[str, str]) -> Fingerprint:
        """Return what is known of what the result depends on: the program's source files, libraries and data."""
        return program_fingerprint(self.name, data)

    def check(self) -> None:
        """Refuse to be submitted.

        Raises:
            UsageError: Always.
        """
        raise UsageError(
            f"{self.name!r} is a fit that a program carried out itself, in Trainer.start_run: no backend can run it. "
            "Run the program again."
        )


Job = TrainingJob | ScriptJob | TrackedJob
"""What a run carries out: backends run the first two, and a program the last itself."""


def _limits(job: Job) -> dict[str, Cell]:
    return {
        "Time limit": None if job.timeout is None else f"{duration(job.timeout)} an attempt",
        "Attempts": f"up to {job.retries + 1}" if job.retries else None,
    }
