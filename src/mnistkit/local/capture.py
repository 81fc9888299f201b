"""Capture what a thread writes: standard output, standard error, warnings and the run's own log lines."""

from __future__ import annotations

import io
import logging
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import IO, Any, TextIO

__all__ = ["captured"]

_sink: ContextVar[TextIO] = ContextVar("mnistkit_run_log")
_lock = threading.Lock()
_active = 0


class _ByThread(io.TextIOBase):
    """Stands for a standard stream: writes to the run's log in a run's thread, to the stream elsewhere."""

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream  # None where the standard stream was closed

    def write(self, text: str) -> int:
        target = _sink.get(self.stream)
        return len(text) if target is None else target.write(text)

    def flush(self) -> None:
        target = _sink.get(self.stream)
        if target is not None:
            target.flush()

    def isatty(self) -> bool:
        return _sink.get(None) is None and self.stream is not None and self.stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class _WarningByThread:
    """Stands for `warnings.showwarning` in the same way."""

    def __init__(self, show: Callable[..., None]) -> None:
        self.show = show

    def __call__(self, message: Warning | str, category: type[Warning], filename: str, lineno: int, *rest: Any) -> None:
        sink = _sink.get(None)
        if sink is None:
            self.show(message, category, filename, lineno, *rest)
        else:
            sink.write(warnings.formatwarning(message, category, filename, lineno))


class _RunHandler(logging.Handler):
    """Writes the lines of the run's logger to the log of the thread that logs."""

    def emit(self, record: logging.LogRecord) -> None:
        sink = _sink.get(None)
        if sink is not None:
            sink.write(self.format(record) + "\n")


# CPython's print holds sys.stdout without a reference: if a stand-in were freed while another thread prints, that
# thread would crash. So they are kept, and used again for the same stream.
_stand_ins: deque[_ByThread] = deque(maxlen=64)


def _stand_in(stream: Any) -> _ByThread:
    """Return what stands for a stream; itself if a program put one back after its run, so that they don't nest."""
    if isinstance(stream, _ByThread):
        return stream
    for each in _stand_ins:
        if each.stream is stream:
            return each
    _stand_ins.append(_ByThread(stream))
    return _stand_ins[-1]


@contextmanager
def captured(log: IO[bytes]) -> Iterator[None]:
    """Append to ``log`` whatever this thread writes while the block runs: print, warnings, log lines."""
    with io.TextIOWrapper(log, encoding="utf-8", errors="backslashreplace", line_buffering=True) as sink:
        token = _sink.set(sink)
        _install()
        try:
            yield
        finally:
            _uninstall()
            _sink.reset(token)


def _install() -> None:
    global _active  # noqa: PLW0603 - the standard streams are global too
    with _lock:
        _active += 1
        if _active > 1:
            return
        sys.stdout, sys.stderr = _stand_in(sys.stdout), _stand_in(sys.stderr)
        if not isinstance(warnings.showwarning, _WarningByThread):
            warnings.showwarning = _WarningByThread(warnings.showwarning)  # type: ignore[assignment]  # same arguments
        logger = logging.getLogger("mnistkit.run")
        logger.setLevel(logging.INFO)
        logger.propagate = False
        handler = _RunHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        logger.addHandler(handler)


def _uninstall() -> None:
    global _active  # noqa: PLW0603 - the standard streams are global too
    with _lock:
        _active -= 1
        if _active:
            return
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if isinstance(stream, _ByThread):  # else somebody replaced it since: theirs stays
                setattr(sys, name, stream.stream)
        if isinstance(warnings.showwarning, _WarningByThread):
            warnings.showwarning = warnings.showwarning.show
        logger = logging.getLogger("mnistkit.run")
        for handler in [h for h in logger.handlers if isinstance(h, _RunHandler)]:
            logger.removeHandler(handler)
