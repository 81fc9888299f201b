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

from attrs import frozen

__all__ = ["captured"]


@frozen
class _Sink:
    """The log that a thread writes to, and whether its streams get the same text."""

    log: TextIO
    echoes: bool


_sink: ContextVar[_Sink | None] = ContextVar("mnistkit_run_log", default=None)
_lock = threading.Lock()
_active = 0


class _ByThread(io.TextIOBase):
    """Stands for a standard stream: writes to the run's log in a run's thread, to the stream elsewhere, or to both."""

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream  # None where the standard stream was closed

    def write(self, text: str) -> int:
        for target in self._targets():
            target.write(text)
        return len(text)

    def flush(self) -> None:
        for target in self._targets():
            target.flush()

    def close(self) -> None:
        """Do nothing: the stream is another's. Python closes what is left at its end, when this module is empty."""

    def isatty(self) -> bool:
        return (stream := self._shown()) is not None and stream.isatty()

    def fileno(self) -> int:
        stream = self._shown()
        return super().fileno() if stream is None else stream.fileno()

    def _shown(self) -> TextIO | None:
        """Return the stream, if what this thread writes comes there."""
        sink = _sink.get()
        return self.stream if sink is None or sink.echoes else None

    def _targets(self) -> list[TextIO]:
        sink, stream = _sink.get(), self._shown()
        return [*([] if sink is None else [sink.log]), *([] if stream is None else [stream])]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class _WarningByThread:
    """Stands for `warnings.showwarning` in the same way."""

    def __init__(self, show: Callable[..., None]) -> None:
        self.show = show

    def __call__(self, message: Warning | str, category: type[Warning], filename: str, lineno: int, *rest: Any) -> None:
        sink = _sink.get()
        if sink is None or sink.echoes:  # what it shows on standard error is in the log as well
            self.show(message, category, filename, lineno, *rest)
        else:
            sink.log.write(warnings.formatwarning(message, category, filename, lineno))


class _RunHandler(logging.Handler):
    """Writes the lines of the run's logger to the log of the thread that logs."""

    def emit(self, record: logging.LogRecord) -> None:
        sink = _sink.get()
        if sink is not None:
            sink.log.write(self.format(record) + "\n")


# CPython's print holds sys.stdout without a reference: if a stand-in were freed while another thread prints, that
# thread would crash. So they are kept, and used again for the same stream.
_stand_ins: deque[_ByThread] = deque(maxlen=64)


def _stand_in(stream: TextIO | _ByThread | None) -> _ByThread:
    """Return what stands for a stream; itself if a program put one back after its run, so that they don't nest."""
    if isinstance(stream, _ByThread):
        return stream
    for each in _stand_ins:
        if each.stream is stream:
            return each
    _stand_ins.append(_ByThread(stream))
    return _stand_ins[-1]


@contextmanager
def captured(log: IO[bytes], *, echo: bool = False) -> Iterator[None]:
    """Append to ``log`` whatever this thread writes while the block runs: print, warnings, log lines.

    Args:
        log: Closed at the end of the block.
        echo: Write to the standard streams as well.
    """
    with io.TextIOWrapper(log, encoding="utf-8", errors="backslashreplace", line_buffering=True) as sink:
        token = _sink.set(_Sink(sink, echo))
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
        # Also while another run is active: the program may have put other streams in place since that one began.
        sys.stdout, sys.stderr = _stand_in(sys.stdout), _stand_in(sys.stderr)
        if _active > 1:
            return
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
