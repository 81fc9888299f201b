"""Provenance of a run: the commit, the command, the versions and the seed it was submitted with."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from attrs import field, frozen

from mnistkit.jobs.environment import library_versions
from mnistkit.jobs.job import Job, TrainingJob
from mnistkit.jobs.parameters import default_parameters
from mnistkit.utils.redaction import redacted_arguments

__all__ = ["Provenance", "current_user"]

_GIT_TIMEOUT_SECONDS = 0.05
_GIT_COMMAND = ("git", "-c", "core.fsmonitor=false", "--no-optional-locks")  # runs no hook, and takes no lock


@frozen(kw_only=True)
class Provenance:
    """All that is needed to repeat a run, as it was when the run was submitted.

    Secrets are left out of the command line as `mnistkit.utils.redaction.redacted` says, and of the environment nothing
    is kept.

    Attributes:
        commit: Of the git repository that the working directory belongs to; None without one, or without git.
        is_dirty: Whether files that git tracks had changes that aren't in the commit; None if that isn't known.
        platform: System and processor, such as ``"Linux-6.1.0-x86_64-with-glibc2.36"``.
        command: The command line, argument by argument.
        seed: Of a `TrainingJob`; None for scripts, which have their own.
        versions: Of Python and the libraries on the machine that submitted it.
        defaults: The parameters that the job left at the defaults of its estimators, as JSON by name.
    """

    commit: str | None = None
    is_dirty: bool | None = None
    platform: str = ""
    command: tuple[str, ...] = ()
    seed: int | None = None
    versions: Mapping[str, str] = field(factory=dict)
    defaults: Mapping[str, str] = field(factory=dict)

    @classmethod
    def of(cls, job: Job, folder: Path | None = None) -> Provenance:
        """Return the provenance of a job that this process submits now.

        Takes a few milliseconds: git is called once, for at most 50 ms; what it hasn't written by then is None.

        Args:
            job: What is submitted.
            folder: The folder whose commit counts; None for the working directory.
        """
        commit, is_dirty = _git_state(folder)
        return cls(
            commit=commit,
            is_dirty=is_dirty,
            platform=platform.platform(),
            command=redacted_arguments(sys.argv),
            seed=job.seed if isinstance(job, TrainingJob) else None,
            versions=library_versions(),
            defaults={name: json.dumps(value) for name, value in default_parameters(job).items()},
        )


def current_user() -> str:
    """Return the user of this process, as ``user@host``."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container may have no name for its user
        user = str(os.getuid()) if hasattr(os, "getuid") else ""
    return f"{user}@{socket.gethostname()}"


def _git_state(folder: Path | None) -> tuple[str | None, bool | None]:
    try:
        folder = Path.cwd() if folder is None else folder.absolute()
    except FileNotFoundError:  # the working directory was removed
        return None, None
    if not any((parent / ".git").exists() for parent in (folder, *folder.parents)):
        return None, None
    deadline = time.monotonic() + _GIT_TIMEOUT_SECONDS
    processes = [
        _git(folder, "rev-parse", "--verify", "HEAD"),
        _git(folder, "status", "--porcelain", "--untracked-files=no"),
    ]
    commit, changes = (_answer(process, deadline) for process in processes)
    return (commit.strip() or None) if commit else None, bool(changes) if commit and changes is not None else None


def _git(folder: Path, *arguments: str) -> subprocess.Popen[str] | None:
    try:
        return subprocess.Popen(  # noqa: S603 - fixed arguments
            [*_GIT_COMMAND, *arguments],
            cwd=folder,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
        )
    except OSError:
        return None


def _answer(process: subprocess.Popen[str] | None, deadline: float) -> str | None:
    """Return what git wrote; None if it isn't installed, failed, or timed out."""
    if process is None:
        return None
    with process:
        try:
            text, _ = process.communicate(timeout=max(deadline - time.monotonic(), 0.001))
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):
                process.kill()
            return None
    return text if process.returncode == 0 else None
