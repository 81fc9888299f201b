"""Start a run that this program carries out itself, and record how its block ends."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from attrs import evolve

from mnistkit.data.dataset import Dataset
from mnistkit.data.source import DataSource
from mnistkit.errors import MnistkitError, StorageError, UsageError
from mnistkit.jobs.job import TrackedJob
from mnistkit.jobs.source_code import Program, program_sources
from mnistkit.runs.backend import ComputeBackend, SupportsTracking
from mnistkit.runs.capture import captured
from mnistkit.runs.context import ConsoleContext, Stopped, get_context, using_context
from mnistkit.runs.folder.lifecycle import RunLifecycle
from mnistkit.runs.folder.scripts import appending_to_log
from mnistkit.runs.folder.snapshot import write_sources
from mnistkit.runs.run import Run
from mnistkit.runs.submission import fingerprint
from mnistkit.tracking.active import ActiveRun
from mnistkit.utils.arguments import check_type
from mnistkit.utils.redaction import redacted

__all__ = ["PARENT_TAG", "start_run"]

_log = logging.getLogger(__name__)

PARENT_TAG = "parent"
"""The tag with the id of the run that a tracked run is part of."""


@contextmanager
def start_run(
    compute: ComputeBackend,
    source: DataSource,
    job: TrackedJob,
    dataset: Callable[[], Dataset],
    *,
    parent: Run | str | None = None,
    capture: bool = True,
) -> Iterator[ActiveRun]:
    """Record the block as a run; see `mnistkit.Trainer.start_run`.

    Args:
        compute: Keeps the run.
        source: The data that its models are for.
        job: Its name, experiment and tags; the rest is filled in.
        dataset: Returns the data, when it is first needed.
        parent: The run that it is part of.
        capture: Keep what the block prints in the run's log as well.

    Raises:
        UsageError: The backend keeps no such runs, or the code is part of a run already and there is no ``parent``.
        RunNotFoundError: There is no run ``parent``.
        StorageError: The backend can't keep records.
    """
    _check_nesting(parent)
    if not isinstance(compute, SupportsTracking):
        raise UsageError(
            f"{type(compute).__name__} runs jobs elsewhere, and can't record a fit of this program: use a trainer "
            "that keeps its runs in a folder, such as Trainer.local(), or submit a ScriptJob."
        )
    if parent is not None:
        check_type(parent, (Run, str), "parent", "the run that this one is part of, or its id")
        parent_id = parent.id if isinstance(parent, Run) else compute.get(parent).id
        job = evolve(job, tags={**job.tags, PARENT_TAG: parent_id})
    program = program_sources()
    lifecycle = compute.track(_described(job, program, source), source.uri)
    run, process = ActiveRun(compute, compute.get(lifecycle.id), lifecycle.folder, dataset), os.getpid()
    error: BaseException | None = None
    try:
        with ExitStack() as stack:
            _prepare(lifecycle, program, stack if capture else None)
            stack.enter_context(using_context(run))
            yield run
    except BaseException as raised:
        error = raised
        raise
    finally:
        if os.getpid() == process:  # a forked process may leave the block too; the run isn't its own
            _finish(run, lifecycle, error)


def _check_nesting(parent: Run | str | None) -> None:
    """Refuse to start a run in a run, unless it is said that this is meant."""
    context = get_context()
    if isinstance(context, ActiveRun):
        if parent is None:
            raise UsageError(
                f"Run {context.id} is active here: end its block first, or start this run as a part of it, with "
                "start_run(parent=run)."
            )
    elif not isinstance(context, ConsoleContext):
        raise UsageError(
            "This program is carried out as a run already, by a backend: log to that run, mnistkit.get_context(), or "
            "start the program with python."
        )


def _described(job: TrackedJob, program: Program, source: DataSource) -> TrackedJob:
    """Return the job with its program and, where it can be computed, its fingerprint."""
    job = evolve(job, program=program.name)
    try:
        return evolve(job, fingerprint=fingerprint(job, source))
    except (MnistkitError, OSError) as error:
        _log.debug("no fingerprint of %r: %s", job.name, redacted(str(error)))
        return job


def _prepare(lifecycle: RunLifecycle, program: Program, stack: ExitStack | None) -> None:
    """Keep the program's source with the run and, until a stack is closed, what this thread prints."""
    try:
        write_sources(program.files, lifecycle.folder)
        if stack is not None:
            log = appending_to_log(lifecycle.folder, lifecycle.log_file)
            stack.enter_context(captured(log, echo=True))
    except OSError as error:
        raise StorageError(f"Can't write to {lifecycle.folder}: {error.strerror or error}. Make room.") from error


def _finish(run: ActiveRun, lifecycle: RunLifecycle, error: BaseException | None) -> None:
    """Record the end; an error of the block stays the one that the caller gets."""
    noticed_cancel = run.close()
    try:
        if isinstance(error, (KeyboardInterrupt, Stopped)) or (error is None and noticed_cancel):
            lifecycle.cancel()
        elif error is None or (isinstance(error, SystemExit) and not error.code):
            lifecycle.complete()
        else:
            _fail(lifecycle, error)
    except (OSError, MnistkitError) as problem:
        message = f"The end of run {lifecycle.id} can't be recorded in {lifecycle.folder}: {problem}"
        if error is None:
            raise StorageError(message) from problem
        _log.warning(message)
    with suppress(MnistkitError):
        run.refresh()


def _fail(lifecycle: RunLifecycle, error: BaseException) -> None:
    # The first entry of the traceback is the generator in this module that the block's error was thrown into.
    own = error.__traceback__.tb_next if error.__traceback__ else None
    text = redacted("".join(traceback.format_exception(type(error), error, own)))
    with suppress(OSError), appending_to_log(lifecycle.folder, lifecycle.log_file) as log:
        log.write(text.encode(errors="backslashreplace"))
    line = "".join(traceback.format_exception_only(error)).strip()
    lifecycle.fail(lifecycle.attempt(cause="error", error=line), traceback=text, is_final=True)
