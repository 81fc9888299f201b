"""A user's script in its own interpreter: its folder copied, its output caught, its process group ended on request."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from io import FileIO
from pathlib import Path
from typing import NoReturn

from mnistkit.errors import InvalidNameError
from mnistkit.jobs.job import DATA_FOLDER, ScriptJob
from mnistkit.runs.context import RUN_FOLDER_VARIABLE
from mnistkit.runs.folder.snapshot import CODE
from mnistkit.runs.folder.variables import job_environment
from mnistkit.utils.folders import found_files
from mnistkit.utils.names import check_file
from mnistkit.utils.regular import open_below

__all__ = [
    "MAX_COLLECTED_BYTES",
    "MAX_FILES",
    "appending_to_log",
    "collect",
    "execute_script",
    "run_script",
]


MAX_FILES = 10_000
"""The most files that `collect` takes."""

MAX_COLLECTED_BYTES = 10 * 2**30
"""The most that they may hold, in bytes."""

_MAX_LISTED_FILES = 20
_GRACE_SECONDS = 5.0


def run_script(
    job: ScriptJob, data_folder: Path, run_folder: Path, log: Path, should_stop: Callable[[], bool]
) -> int | None:
    """Run the script to its end; return its exit code, negative for a signal, or None if it was stopped.

    Args:
        job: What to run; its folder was copied by `snapshot`.
        data_folder: What `DATA_FOLDER` in the arguments stands for.
        run_folder: Where the run is kept.
        log: Gets what the script writes, standard output and error together.
        should_stop: Called several times a second; once it returns True the script is ended.
    """
    with appending_to_log(run_folder, log) as output:
        process = subprocess.Popen(  # noqa: S603 - running the user's script is the purpose
            _command(job, data_folder),
            cwd=run_folder / CODE,
            env=_variables(job, run_folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        pause = 0.005
        while (returncode := process.poll()) is None:
            if should_stop():
                break
            time.sleep(pause)
            pause = min(pause * 1.5, 0.1)
    finally:
        _end(process)
    return returncode


def execute_script(job: ScriptJob, data_folder: Path, run_folder: Path, variables: Mapping[str, str]) -> NoReturn:
    """Replace this process by an interpreter that runs the script.

    Args:
        job: What to run; its folder was copied by `snapshot`.
        data_folder: What `DATA_FOLDER` in the arguments stands for.
        run_folder: Where the run is kept.
        variables: Environment variables to set, unless the job does.
    """
    os.chdir(run_folder / CODE)
    os.execve(sys.executable, _command(job, data_folder), _variables(job, run_folder, variables))  # noqa: S606 - the purpose


def collect(run_folder: Path, log: Path) -> None:
    """Move what the script left in ``./outputs`` and ``./logs`` into the run; what isn't taken is listed in the log.

    Taken are regular files alone, with names that every system can keep, up to `MAX_FILES` of them and
    `MAX_COLLECTED_BYTES` bytes. The rest stays in the run's copy of the script's folder. Nothing is opened or followed.

    Args:
        run_folder: Where the run is kept.
        log: The run's own log, which no file of the script's replaces.
    """
    refused: list[str] = []
    count = total = 0
    for part in ("outputs", "logs"):
        left = run_folder / CODE / part
        if _leads_away(left, run_folder):
            refused.append(f"{part!r} leads out of the run")
            continue
        for file, path, problem in list(found_files(left)):
            size = 0 if problem else path.lstat().st_size
            problem = problem or _excess(count + 1, total + size) or _move(path, run_folder, f"{part}/{file}", log)  # noqa: PLW2901 - the first one there is
            if problem:
                refused.append(f"{f'{part}/{file}'!a:.200} {problem}")
            else:
                count, total = count + 1, total + size
    if refused:
        _note_refused(run_folder, log, refused)


def appending_to_log(run_folder: Path, log: Path) -> FileIO:
    """Open a run's log for appending: the file itself, whatever links a job has put in its place or its folder's.

    Raises:
        OSError: A link is in the way, or as the system says.
    """
    name = log.relative_to(run_folder).as_posix()
    return FileIO(open_below(run_folder, name, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab")


def _excess(count: int, total: int) -> str:
    if count > MAX_FILES:
        return f"is beyond the {MAX_FILES} files that a run keeps"
    return f"is beyond the {MAX_COLLECTED_BYTES >> 30} GiB that a run keeps" if total > MAX_COLLECTED_BYTES else ""


def _move(path: Path, run_folder: Path, name: str, log: Path) -> str:
    """Move a file to its place in the run; returns what prevents that, if anything."""
    target = run_folder / name
    if target == log:
        return "has the name of the run's log"
    try:
        check_file(name)
        if _leads_away(target.parent, run_folder):
            return "would be moved out of the run"
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
    except InvalidNameError:
        return "has a name that can't be kept on every system"
    except OSError as error:
        return f"can't be moved: {error.strerror}"
    return ""


def _leads_away(path: Path, run_folder: Path) -> bool:
    """Whether a symbolic link lies between the run's folder and ``path``, or is it."""
    return any(step.is_symlink() for step in (path, *path.parents) if run_folder in step.parents)


def _note_refused(run_folder: Path, log: Path, refused: list[str]) -> None:
    lines = [f"... {len(refused)} of the script's files aren't kept with the run, and stay in its folder {CODE!r}:"]
    lines += [f"  {line}" for line in refused[:_MAX_LISTED_FILES]]
    lines += [f"  and {len(refused) - _MAX_LISTED_FILES} more"] * (len(refused) > _MAX_LISTED_FILES)
    with contextlib.suppress(OSError), appending_to_log(run_folder, log) as stream:
        stream.write(("\n".join(lines) + "\n").encode())


def _command(job: ScriptJob, data_folder: Path) -> list[str]:
    arguments = [argument.replace(DATA_FOLDER, str(data_folder)) for argument in job.arguments]
    return [sys.executable, "-u", job.entry_script, *arguments]


def _variables(job: ScriptJob, run_folder: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    own = job.environment.variables if job.environment else {}
    variables = {**job_environment(os.environ), **(more or {}), **own, RUN_FOLDER_VARIABLE: str(run_folder)}
    if variables.get("PYTHONSAFEPATH"):  # else Python puts the script's folder first by itself
        folder = (run_folder / CODE / job.entry_script).parent
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), variables.get("PYTHONPATH", "")]))
    return variables


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the script's whole process group: politely, then not."""
    for number, grace in (
        (signal.SIGTERM, _GRACE_SECONDS),
        (getattr(signal, "SIGKILL", signal.SIGTERM), _GRACE_SECONDS),
    ):
        if process.poll() is None:
            _signal(process, number)
            _signal(process, getattr(signal, "SIGCONT", number))  # one that is stopped can't end
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(grace)
    _signal(process, getattr(signal, "SIGKILL", signal.SIGTERM))  # what the script started and left behind
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
    elif process.poll() is None:
        process.terminate()
