"""Earlier runs that a job need not repeat, and why it must where it must."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path

import attrs
from attrs import frozen

from mnistkit.data.source import DataSource, KnownContent
from mnistkit.errors import MnistkitError, UsageError
from mnistkit.jobs.environment import Environment, library_versions
from mnistkit.jobs.fingerprint import Difference, Fingerprint
from mnistkit.jobs.job import Job, ScriptJob, TrainingJob
from mnistkit.jobs.source_code import module_digests, script_digests
from mnistkit.runs.record import RunRecord, RunState
from mnistkit.utils.files import sha256_hex
from mnistkit.utils.redaction import is_secret_name, redacted, redacted_arguments

__all__ = ["Explanation", "explain", "fingerprint", "fingerprinted"]

_log = logging.getLogger(__name__)

_MAX_FILES = 200


@frozen(kw_only=True)
class Explanation:
    """Whether there is an earlier run to return instead of running a job, and why or why not: ``str()`` tells it.

    Attributes:
        run_id: The earlier run that comes nearest; None if there is none to compare with.
        state: That run's.
        differences: What the job and that run differ in.
    """

    run_id: str | None = None
    state: RunState | None = None
    differences: tuple[Difference, ...] = ()

    @property
    def reuses(self) -> bool:
        """Whether that run is the same, and completed."""
        return self.state is RunState.COMPLETED and not self.differences

    def __str__(self) -> str:
        """A line if there is a run to reuse, else each difference from the nearest one."""
        if self.run_id is None:
            return "Nothing to reuse: there is no earlier run to compare with."
        if self.reuses:
            return f"Run {self.run_id} can be reused: it had the same code, parameters, data, libraries and seed."
        if not self.differences:
            return f"Nothing to reuse: run {self.run_id} asks for the same, but it is {self.state}."
        lines = [f"Nothing to reuse: the nearest run, {self.run_id}, differs (old -> new) in"]
        for part, differences in groupby(self.differences, key=lambda difference: difference.part):
            lines += [f"  {part}", *(f"    {difference}" for difference in differences)]
        return "\n".join(lines)


def explain(wanted: Fingerprint, records: Iterable[RunRecord]) -> Explanation:
    """Compare a job's fingerprint with those of earlier runs.

    The nearest run has the fewest parts that differ, then the fewest items; of equals a completed one, then the newest.

    Args:
        wanted: The fingerprint of the job.
        records: Earlier runs; those without a fingerprint don't count.
    """
    compared = [(r, wanted.differences(r.job.fingerprint)) for r in records if r.job.fingerprint is not None]
    if not compared:
        return Explanation()
    record, differences = min(compared, key=_distance)
    return Explanation(run_id=record.id, state=record.state, differences=differences)


def fingerprinted(job: Job, source: DataSource) -> Job:
    """The job with its fingerprint; without one where it can't be had, and then no later job reuses its run."""
    try:
        known = fingerprint(job, source)
    except (MnistkitError, OSError, SyntaxError) as error:
        _log.debug("no fingerprint of the %s job: %s", job.kind, redacted(str(error)))
        known = None
    return attrs.evolve(job, fingerprint=known)


def fingerprint(job: Job, source: DataSource) -> Fingerprint:
    """What the result of a job on some data depends on. Nothing is fetched.

    Not in it: experiment, tags, time limit and retries; and what a script, or an estimator's own code, reads beside
    the data.

    Raises:
        UsageError: The source doesn't say what it holds, or a script's folder is too large.
        NotFoundError: A script, or the data, isn't there.
        SpecError: The estimator can't be imported, or its source changed after it was.
    """
    if not isinstance(source, KnownContent):
        raise UsageError(
            f"The data source {source.uri} doesn't say what it holds without fetching it, so that runs on it can't be "
            "compared: give it a method 'digests', as mnistkit.interfaces.KnownContent has it."
        )
    data = dict(source.digests())
    if isinstance(job, ScriptJob):
        job.check()
        code = _bounded(script_digests(Path(job.source_directory)))
        return Fingerprint(code=code, parameters=_script_parameters(job), data=data, libraries=library_versions())
    code, libraries = {}, library_versions()
    for path in sorted(_import_paths(job.model.type, job.model.params)):
        files, versions = module_digests(path)
        code.update(files)
        libraries.update(versions)
    return Fingerprint(code=code, parameters=_model_parameters(job), data=data, libraries=libraries, seed=job.seed)


def _distance(compared: tuple[RunRecord, tuple[Difference, ...]]) -> tuple[int, int, bool, float]:
    record, differences = compared
    parts = {difference.part for difference in differences}
    return len(parts), len(differences), record.state is not RunState.COMPLETED, -record.created_at.timestamp()


def _bounded(digests: dict[str, str]) -> dict[str, str]:
    """File by file, or one digest of them all where they are too many to keep with every run."""
    if len(digests) <= _MAX_FILES:
        return digests
    return {f"({len(digests)} files)": sha256_hex(json.dumps(digests, sort_keys=True).encode())}


def _script_parameters(job: ScriptJob) -> dict[str, str]:
    parameters = {"entry_script": job.entry_script}
    option = ""
    for i, (argument, shown) in enumerate(zip(job.arguments, redacted_arguments(job.arguments), strict=True)):
        is_value = bool(option) and not argument.startswith("--")
        parameters[f"arguments[{i}]{f' ({option})' if is_value else ''}"] = _told(argument, shown)
        option = argument if argument.startswith("-") and "=" not in argument else ""
    return {**parameters, **(_environment(job.environment) if job.environment else {})}


def _environment(environment: Environment) -> dict[str, str]:
    """All that matters of it: its name doesn't."""
    lists = {"pip": environment.pip, "conda": environment.conda}
    told = {f"environment.{name}": json.dumps(value) for name, value in lists.items() if value}
    if environment.python:
        told["environment.python"] = environment.python
    for name, value in environment.variables.items():
        told[f"environment.variables.{name}"] = _told(value, "***" if is_secret_name(name) else redacted(value))
    return told


def _told(value: str, shown: str) -> str:
    """What is shown of a value; with a digest where that is less than all, so that different ones stay different."""
    return value if shown == value else f"{shown} (sha256 {sha256_hex(value.encode())[:12]})"


def _model_parameters(job: TrainingJob) -> dict[str, str]:
    told = {"model": job.model.type, "model_format": job.model_format}
    if job.limit is not None:
        told["limit"] = str(job.limit)
    for name, value in job.model.params.items():
        told.update(_flat(name, value))
    return told


def _flat(name: str, value: object) -> Iterator[tuple[str, str]]:
    """A parameter by its name; one that holds estimators as these, each with its own parameters."""
    if not isinstance(value, (list, Mapping)) or "$estimator" not in json.dumps(value):
        yield name, json.dumps(value, sort_keys=True)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            step, content = _step(item)
            yield from _flat(f"{name}[{i}]{step}", content)
    else:
        ((kind, content),) = value.items()
        if kind != "$estimator":
            yield from _flat(name, content)
            return
        yield name, content["type"]
        for inner, parameter in content["params"].items():
            yield from _flat(f"{name}.{inner}", parameter)


def _step(item: object) -> tuple[str, object]:
    """The name to add and what it names, for a step such as ``("scale", StandardScaler())`` of a pipeline."""
    content = item.get("$tuple") if isinstance(item, Mapping) else None
    if isinstance(content, list) and len(content) == 2 and isinstance(content[0], str):  # noqa: PLR2004 - name and step
        return f".{content[0]}", content[1]
    return "", item


def _import_paths(own: str, params: object) -> set[str]:
    """Every class and function that a model's spec names."""
    found = {own}
    pending = [params]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            path = value.get("$object")
            found |= {path} if isinstance(path, str) else set()
            inner = value.get("$estimator")
            found |= {inner["type"]} if isinstance(inner, Mapping) else set()
            pending += value.values()
        elif isinstance(value, list):
            pending += value
    return found
