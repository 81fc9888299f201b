"""Processes that register models: ``registry_writers.py race|kill KIND ROOT SOURCE`` prints the numbers they get.

A script of its own, because it forks: a process with one thread and everything imported starts others at once.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from mnistkit.interfaces import ModelRegistry
from mnistkit.local.registry import FolderRegistry
from naive import NaiveRegistry


@frozen
class Writers:
    """Processes that register versions of the model ``digits`` and say which numbers they were given."""

    registry: ModelRegistry
    source: Path

    def race(self) -> Iterator[int]:
        """8 processes register 50 versions each, all starting at the same moment."""
        gate, opener = os.pipe()
        writers = [self._start(50, gate) for _ in range(8)]
        os.write(opener, b"x" * len(writers))
        for pid, answers in writers:
            yield from self._numbers(pid, answers)

    def kill(self) -> Iterator[int]:
        """25 processes, one after the other, are killed up to 60 ms after their first registration."""
        for _ in range(25):
            gate, opener = os.pipe()
            os.write(opener, b"x")
            pid, answers = self._start(100_000, gate)
            select.select([answers], [], [], 30)
            time.sleep(random.uniform(0, 0.06))
            os.kill(pid, signal.SIGKILL)
            yield from self._numbers(pid, answers)

    def _start(self, count: int, gate: int) -> tuple[int, int]:
        answers, mouth = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.read(gate, 1)
            for _ in range(count):
                with contextlib.suppress(Exception):  # a failed registration has no number: the test misses it
                    model = self.registry.register("digits", self.source, format="files")
                    os.write(mouth, b"%d\n" % model.version)
            os._exit(0)
        os.close(mouth)
        return pid, answers

    @staticmethod
    def _numbers(pid: int, answers: int) -> list[int]:
        with os.fdopen(answers) as stream:
            text = stream.read()
        os.waitpid(pid, 0)
        return [int(line) for line in text.splitlines()]


if __name__ == "__main__":
    task, kind, root, source = sys.argv[1:]
    registry = {"FolderRegistry": FolderRegistry, "NaiveRegistry": NaiveRegistry}[kind](Path(root))
    print(*getattr(Writers(registry, Path(source)), task)())
