"""Calls of Azure's SDKs with a deadline, their exceptions translated."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, TypeVar

from mnistkit.azureml.failures import failure
from mnistkit.errors import MnistkitError, ServiceTimeoutError

__all__ = ["DEADLINE_SECONDS", "call", "is_within_call", "translated"]

DEADLINE_SECONDS = 120.0
"""How long one call to Azure ML may take, with its retries, unless the caller sets another deadline."""

_Result = TypeVar("_Result")

_is_within: ContextVar[bool] = ContextVar("_is_within", default=False)


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise exceptions of an SDK in the block as errors of mnistkit, with the original as cause.

    Args:
        what: What the block does, for the message: ``"submitting a run"``.
    """
    try:
        yield
    except MnistkitError:
        raise
    except Exception as error:
        raise failure(error, what) from error


def call(
    what: str, function: Callable[..., _Result], *args: Any, seconds: float | None = None, **options: Any
) -> _Result:
    """Call ``function`` with a deadline, and translate its exceptions.

    The SDKs' requests have no deadlines of their own, and a thread can't be interrupted: a late call keeps running on a
    daemon thread, and its result is dropped.

    Args:
        what: What the call does, for the message: ``"submitting a run"``.
        function: The function to call.
        args: Its arguments.
        seconds: The deadline; None for `DEADLINE_SECONDS`.
        options: Its keyword arguments.

    Raises:
        ServiceTimeoutError: It isn't done by then.
        ServiceError: As `translated` makes of its exceptions, and `mnistkit.errors.NotFoundError` or
            `mnistkit.errors.ConflictError`.
    """
    seconds = DEADLINE_SECONDS if seconds is None else seconds
    done = threading.Event()
    result: list[_Result] = []
    raised: list[BaseException] = []

    def work() -> None:
        _is_within.set(True)  # of this thread alone
        try:
            with translated(what):
                result.append(function(*args, **options))
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            raised.append(error)
        finally:
            done.set()

    threading.Thread(target=work, name=f"azureml: {what}", daemon=True).start()
    if not done.wait(seconds):
        raise ServiceTimeoutError(
            f"Azure ML: {what} isn't done after {seconds:g} s. It may still take effect: check that, and try again."
        )
    if raised:
        raise raised[0]
    return result[0]


def is_within_call() -> bool:
    """Return True in a function that `call` calls: what the SDK prints there isn't the program's own output."""
    return _is_within.get()
