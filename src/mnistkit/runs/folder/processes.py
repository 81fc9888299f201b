"""Child processes in sessions of their own, and an end for them and all that they started."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import psutil

__all__ = [
    "adopt_orphans",
    "descendants",
    "end_processes",
    "fork_session",
    "has_children",
    "limit_memory",
    "limit_threads",
    "pass_signals",
    "reap",
    "thread_variables",
    "wake",
]

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
_PAUSE_SECONDS = 0.02
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
_JOBS_VARIABLE = "LOKY_MAX_CPU_COUNT"
_VARIABLES = {"openblas": "OPENBLAS_NUM_THREADS", "mkl": "MKL_NUM_THREADS"}  # by threadpoolctl's name of a library


def adopt_orphans() -> None:
    """Make descendants whose parent ends children of this process, so that none gets out of sight. Linux only."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def fork_session(body: Callable[[], object], *, output: int | None = None, outlives: bool = False) -> int:
    """Run ``body`` in a child that leads a session of its own, and return its process id.

    Its exit code is 0 if ``body`` returns, what a SystemExit says, and 1 for any other exception. For processes without
    threads only.

    Args:
        body: May replace the process by another program.
        output: A file descriptor for its standard output and error; None to keep those of this process.
        outlives: Whether it may outlive this process. If not, it is killed when this one ends (Linux only).
    """
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setsid()
        if not outlives:
            _end_with(parent)
        pass_signals()
        _redirect(output)
        body()
        code = 0
    except SystemExit as error:
        code = _exit_code(error)
    except BaseException:  # noqa: BLE001 - what it is has been said by now; here it must not reach the parent's code
        sys.excepthook(*sys.exc_info())
    finally:
        _leave(code)


def pass_signals() -> None:
    """Give signals the effect that they have in a new program."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def end_processes(find: Callable[[], Iterable[psutil.Process]], grace: float, *, group: int | None = None) -> None:
    """End all processes that ``find`` finds, again and again, until it finds none: politely, then not.

    Args:
        find: Those that are left. Called repeatedly: while they are ended they may start others.
        grace: Seconds that they have after SIGTERM, before SIGKILL.
        group: Also send SIGKILL to this process group: that reaches processes that fork and exit before they are found.
    """
    signaled: set[int] = set()
    deadline = time.monotonic() + grace
    while left := list(find()):
        late = time.monotonic() >= deadline
        if late and group is not None:
            group = _kill_group(group)
        for process in left:
            if late:
                _signal(process, signal.SIGKILL)
            elif process.pid not in signaled:
                signaled.add(process.pid)
                _signal(process, signal.SIGTERM)
                _signal(process, signal.SIGCONT)  # one that is stopped can't end
        time.sleep(_PAUSE_SECONDS)


def wake(pid: int) -> None:
    """Continue a process that a job has stopped; nothing happens to one that runs, or is gone."""
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGCONT)


def descendants() -> list[psutil.Process]:
    """Return all processes that descend from this one and haven't ended."""
    import psutil

    return [each for each in psutil.Process().children(recursive=True) if _lives(each)]


def has_children() -> bool:
    """Return True if this process has a child, ended or not; after `adopt_orphans`, any descendant. Linux only."""
    if sys.platform != "linux":
        return False
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def reap() -> dict[int, int]:
    """Collect every child that has ended: wait statuses by process id."""
    statuses: dict[int, int] = {}
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            statuses[pid] = status
    return statuses


def limit_memory(limit: int | None) -> None:
    """Let this process and what it starts have at most ``limit`` bytes of address space."""
    if limit is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def thread_variables(n: int) -> dict[str, str]:
    """Return the environment variables that limit numeric libraries to ``n`` threads, or to fewer if fewer are set.

    `OMP_NUM_THREADS` is what the user set for the libraries whose own variable isn't set, as these libraries read it.
    """
    general = _threads_set("OMP_NUM_THREADS", n)
    own = {name: _threads_set(name, general) for name in _THREAD_VARIABLES}
    return {
        name: str(min(n, threads)) for name, threads in {**own, _JOBS_VARIABLE: _threads_set(_JOBS_VARIABLE, n)}.items()
    }


def limit_threads(n: int) -> None:
    """Limit the numeric libraries of this process, those already loaded too, to ``n`` threads; fewer limits stay."""
    from threadpoolctl import ThreadpoolController, threadpool_limits

    variables = thread_variables(n)
    os.environ.update(variables)
    # Libraries that are loaded have read their variables before, perhaps when these were others: set each one's number.
    limits: dict[str, int] = {}
    for library in ThreadpoolController().info():
        prefix, threads = library["prefix"], int(variables[_VARIABLES.get(library["internal_api"], "OMP_NUM_THREADS")])
        limits[prefix] = min(threads, library["num_threads"] or threads, limits.get(prefix, threads))
    threadpool_limits(limits)


def _threads_set(variable: str, default: int) -> int:
    """Return the number that an environment variable holds, the first one of a list; ``default`` if it holds none."""
    first = os.environ.get(variable, "").partition(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else default


def _end_with(parent: int) -> None:
    """Be killed when the parent ends."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _redirect(output: int | None) -> None:
    """Read from an empty file, and write to ``output``."""
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a descriptor is what is needed
        os.dup2(nothing.fileno(), 0)
    if output is not None:
        os.dup2(output, 1)
        os.dup2(output, 2)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for as long as the process lives
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115 - the same
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115 - the same


def _exit_code(error: SystemExit) -> int:
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    sys.stderr.write(f"{error.code}\n")
    return 1


def _leave(code: int) -> NoReturn:
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)  # without the exit functions that the parent registered


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        process.send_signal(number)


def _kill_group(group: int) -> int | None:
    """Kill what is in the group; returns None once nothing is, as its number may soon be another's."""
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        return None
    return group


def _lives(process: psutil.Process) -> bool:
    import psutil

    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _prctl(option: int, value: int) -> None:
    libc = _libc()
    if libc is not None:
        libc.prctl(option, value, 0, 0, 0)


@cache
def _libc() -> Any:
    return ctypes.CDLL(None) if sys.platform == "linux" else None
