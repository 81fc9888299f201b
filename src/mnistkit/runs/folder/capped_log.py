"""A log file that can't fill the disk: the beginning and the end of what a job writes, and how much is between."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import IO

from mnistkit.utils.regular import open_below

__all__ = ["CappedLog"]

_MIB = 1 << 20


class CappedLog:
    """Keeps the head and the tail of a job's output in one file that only ever grows.

    The head is appended to the file as it comes. What comes after it is kept in two unnamed files in the run's folder,
    of which the older one gives way: `finish` appends them, after one line that says how many bytes were left out, if
    any. A line (it ends with a line feed or, as those of progress bars, with a carriage return) that is too long is
    cut, and says so at its end. Memory stays within a few hundred KiB, whatever comes. For one thread.

    Attributes:
        path: The file.
        error: Why the log is incomplete: the first error of the file system, after which nothing more is kept;
            None if there was none.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        within: Path | None = None,
        head: int = 16 * _MIB,
        tail: int = 48 * _MIB,
        line: int = 64 * 1024,
    ) -> None:
        """Open a file for appending; it and its folder are created if need be, and no symbolic link is followed.

        Args:
            path: The file. It grows by at most ``head + tail`` bytes and 1 KiB.
            within: The run's folder, above it; None for the file's own folder.
            head: How many bytes to keep of the beginning.
            tail: How many bytes to keep of the end, at most; at least half as many, when there are more.
            line: How many bytes to keep of one line, not counting its end.

        Raises:
            OSError: The file can't be opened. Later errors are kept in ``error`` instead.
        """
        self.path = Path(path)
        folder = within or self.path.parent
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.error: OSError | None = None
        # The job may put a link in place of the file or of its folder at any time: later writes go to what is open.
        descriptor = open_below(
            folder, self.path.relative_to(folder).as_posix(), os.O_WRONLY | os.O_APPEND | os.O_CREAT
        )
        self._stream: IO[bytes] = os.fdopen(descriptor, "ab", buffering=0)
        self._head_room = head
        self._head_end = b"\n"
        self._tail = _Tail(folder, max(tail // 2, 1))
        self._line_limit = line
        self._line = 0

    def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the output, of any length. An error of the file system isn't raised but kept."""
        view = memoryview(data)
        for start in range(0, len(view), self._line_limit):
            # So short that no line which lies inside of it can be too long: its first and last ends are enough.
            self._take(bytes(view[start : start + self._line_limit]))

    def finish(self) -> None:
        """Append what is kept of the end, and close the file; idempotent."""
        if self._stream.closed:
            return
        if self._line > self._line_limit:
            self._keep(self._note() + b"\n")
        try:
            self._append_tail()
        except OSError as error:
            self.error = self.error or error
        finally:
            self._tail.close()
        if self.error:
            with contextlib.suppress(OSError):
                _write(self._stream, f"\n... the log ends here: {self.error.strerror or self.error}\n".encode())
        self._stream.close()

    def __enter__(self) -> CappedLog:  # noqa: PYI034 - typing has no Self in Python 3.10
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def _take(self, piece: bytes) -> None:
        """Keep a piece that is no longer than a line may be, less what is too much of its first line."""
        end, room = _first_end(piece), max(self._line_limit - self._line, 0)
        if end < 0:
            self._line += len(piece)
            self._keep(piece[:room])
            return
        self._line += end
        self._keep(piece if self._line <= self._line_limit else piece[:room] + self._note() + piece[end:])
        self._line = len(piece) - 1 - max(piece.rfind(b"\n"), piece.rfind(b"\r"))

    def _note(self) -> bytes:
        return b" ... %d bytes of this line were dropped" % (self._line - self._line_limit)

    def _keep(self, data: bytes) -> None:
        if self.error or not data:
            return
        try:
            if self._head_room:
                head, data = data[: self._head_room], data[self._head_room :]
                self._head_room -= len(head)
                self._head_end = head[-1:]
                _write(self._stream, head)
            self._tail.write(data)
        except OSError as error:
            self.error = error

    def _append_tail(self) -> None:
        if dropped := self._tail.rewind():
            start = b"" if self._head_end in b"\r\n" else b"\n"
            _write(self._stream, start + b"... %d bytes were left out here ...\n" % dropped)
        for chunk in iter(self._tail.read, b""):
            _write(self._stream, chunk)


class _Tail:
    """The last bytes of what was written: two unnamed files of which the older one is emptied when both are full."""

    def __init__(self, folder: Path, size: int) -> None:
        self._folder = folder
        self._size = size
        self._files: list[IO[bytes]] = []  # the older one first
        self._room = 0
        self._dropped = 0

    def write(self, data: bytes) -> None:
        while data:
            if not self._room:
                self._turn()
            part, data = data[: self._room], data[self._room :]
            _write(self._files[-1], part)
            self._room -= len(part)

    def rewind(self) -> int:
        """Get ready to read from the beginning of a line on; returns how many bytes are lost before it."""
        for file in self._files:
            file.seek(0)
        if not self._dropped:
            return 0
        older = self._files[0]
        part_of_line = _first_end(older.read(_MIB)) + 1
        older.seek(part_of_line)
        return self._dropped + part_of_line

    def read(self) -> bytes:
        """The next bytes that are kept, oldest first; none at the end."""
        chunks = (chunk for file in self._files if (chunk := file.read(_MIB)))
        return next(chunks, b"")

    def close(self) -> None:
        while self._files:
            self._files.pop().close()

    def _turn(self) -> None:
        if len(self._files) < 2:  # noqa: PLR2004 - the older and the newer
            self._files.append(tempfile.TemporaryFile(dir=self._folder, buffering=0))  # noqa: SIM115 - closed below
        else:
            older = self._files.pop(0)
            self._files.append(older)
            older.seek(0)
            older.truncate()
            self._dropped += self._size
        self._room = self._size


def _first_end(data: bytes) -> int:
    """Where the first line of ``data`` ends; -1 if it doesn't."""
    return min((at for at in (data.find(b"\n"), data.find(b"\r")) if at >= 0), default=-1)


def _write(stream: IO[bytes], data: bytes) -> None:
    """Write all of it: the system may take less at once, such as what still fits on the disk."""
    view = memoryview(data)
    while view:
        view = view[stream.write(view) :]
