"""The end of an attempt at a job, and the rule for another one: the same on every backend.

Imports nothing but the standard library, since nodes without mnistkit's dependencies use it.
"""

from __future__ import annotations

import signal
from collections.abc import Collection
from typing import Any

__all__ = ["may_retry", "outcome_by_exit", "outcome_by_timeout", "signal_name"]


def may_retry(cause: str | None, attempts: int, *, retries: int, retry_on: Collection[str]) -> bool:
    """Return True if another attempt follows one that ended with ``cause``, the last of ``attempts``."""
    return cause in retry_on and attempts <= retries


def outcome_by_exit(what: str, code: int, *, place: str = "system") -> dict[str, Any]:
    """Return the fields of `Attempt` for a process that exited badly.

    Args:
        what: The process, as the subject of a sentence.
        code: Its exit code, or the negative number of the signal that killed it.
        place: Where it ran, for the guess that memory ran out there.
    """
    if code >= 0:
        return {"cause": "error", "error": f"{what} exited with code {code}.", "exit_code": code}
    name = signal_name(-code)
    guess = f" The {place} was probably out of memory: mnistkit didn't send it." if name == "SIGKILL" else ""
    return {"cause": "killed", "error": f"{what} was killed by {name}.{guess}", "signal": name}


def outcome_by_timeout(timeout: float) -> dict[str, Any]:
    """Return the fields of `Attempt` for an attempt that was ended after ``timeout`` seconds."""
    return {"cause": "timeout", "error": f"It was not done after its timeout of {timeout:g} s, and was ended."}


def signal_name(number: int) -> str:
    """Return the name of a signal: ``"SIGSEGV"`` for 11."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
