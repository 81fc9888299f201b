"""Processes that use a registry at once: ``registry_writers.py TASK KIND ROOT SOURCE [NUMBER ...]``.

It prints what they get. A script of its own, because it forks: a process with one thread and everything imported
starts others at once. With ``NO_LOCKS`` in the environment file locks do nothing, as on file systems that grant them
to everybody.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from attrs import frozen

from mnistkit.errors import ConflictError, ModelNotFoundError
from mnistkit.interfaces import ModelRegistry
from mnistkit.local.registry.registry import FolderRegistry
from support.naive import NaiveRegistry


@frozen
class Writers:
    """Processes that register versions of the model ``digits`` and say which numbers they were given."""

    registry: ModelRegistry
    source: Path

    def race(self, processes: int, each: int) -> Iterator[str]:
        """Processes register versions, all starting at the same moment."""
        yield from self._together([lambda: self._register(each)] * processes)

    def threads(self, processes: int, threads: int, each: int) -> Iterator[str]:
        """Processes with several threads each register versions, all starting at the same moment."""

        def many() -> Iterator[str]:
            answers: list[str] = []
            workers = [threading.Thread(target=lambda: answers.extend(self._register(each))) for _ in range(threads)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            yield from answers

        yield from self._together([many] * processes)

    def kill(self, processes: int) -> Iterator[str]:
        """Processes, one after the other, are killed up to 60 ms after their first registration."""
        for _ in range(processes):
            pid, answers = self._start(lambda: self._register(100_000))
            select.select([answers], [], [], 30)
            time.sleep(random.uniform(0, 0.06))
            os.kill(pid, signal.SIGKILL)
            yield from _lines(pid, answers)

    def count(self, processes: int, each: int) -> Iterator[str]:
        """Processes count in the reasons of an alias's assignments: look, add one, try again if it was too late."""
        self.registry.register("digits", self.source, format="files")
        yield from self._together([lambda: self._count(each)] * processes)

    def mix(self, seconds: int) -> Iterator[str]:
        """4 processes register, 2 delete and 2 look, for some seconds; every error is said."""
        end = time.monotonic() + seconds
        self.registry.register("digits", self.source, format="files")
        tasks = [self._register_once] * 4 + [self._delete_one] * 2 + [self._look] * 2
        yield from self._together([lambda task=task: _until(end, task) for task in tasks])

    def watch(self, reads: int) -> Iterator[str]:
        """One process registers, and another gets the number that is next, again and again."""
        pid, answers = self._start(lambda: self._register(100_000))
        number = 1
        for _ in range(reads):
            try:
                model = self.registry.get("digits", number)
            except ModelNotFoundError:
                continue
            yield f"{model.version} {len(model.files)}"
            number += 1
        os.kill(pid, signal.SIGKILL)
        _lines(pid, answers)

    def _register(self, count: int) -> Iterator[str]:
        for _ in range(count):
            with contextlib.suppress(Exception):  # a failed registration has no number: the test misses it
                yield str(self.registry.register("digits", self.source, format="files").version)

    def _count(self, count: int) -> Iterator[str]:
        done = 0
        while done < count:
            history = self.registry.aliases("digits").get("counter", ())
            reason = str(int(history[-1].reason) + 1 if history else 1)
            try:
                self.registry.assign("digits", "counter", 1, reason=reason, seen=history)
            except ConflictError:
                continue
            done += 1
            yield reason

    def _register_once(self) -> None:
        self.registry.register("digits", self.source, format="files")

    def _delete_one(self) -> None:
        listed = self.registry.versions("digits")
        with contextlib.suppress(ModelNotFoundError):  # the other one was faster
            if listed:
                self.registry.delete("digits", random.choice(listed).version)

    def _look(self) -> None:
        found = self.registry.versions("digits")
        numbers = [model.version for model in found]
        if numbers != sorted(numbers, reverse=True) or any(len(model.files) != 2 for model in found):
            raise AssertionError(f"listed: {numbers}")
        self.registry.names()
        problems = self.registry.verify("digits", numbers[0]).problems if numbers else ()
        if problems:
            raise AssertionError(problems)

    def _together(self, tasks: list[Callable[[], Iterator[str]]]) -> Iterator[str]:
        gate, opener = os.pipe()
        started = [self._start(task, gate) for task in tasks]
        os.write(opener, b"x" * len(tasks))
        for pid, answers in started:
            yield from _lines(pid, answers)

    @staticmethod
    def _start(task: Callable[[], Iterator[str]], gate: int | None = None) -> tuple[int, int]:
        answers, mouth = os.pipe()
        pid = os.fork()
        if pid == 0:
            if gate is not None:
                os.read(gate, 1)
            for line in task():
                os.write(mouth, line.encode() + b"\n")
            os._exit(0)
        os.close(mouth)
        return pid, answers


def _until(end: float, task: Callable[[], None]) -> Iterator[str]:
    count = 0
    while time.monotonic() < end:
        try:
            task()
            count += 1
        except ModelNotFoundError as error:
            if "deleted" not in str(error):
                yield repr(error)
        except Exception as error:  # noqa: BLE001 - any error is an answer
            yield repr(error)
    yield f"done {count}"


def _lines(pid: int, answers: int) -> list[str]:
    with os.fdopen(answers) as stream:
        text = stream.read()
    os.waitpid(pid, 0)
    return [line for line in text.split("\n")[:-1] if line]  # one that was cut off wasn't said


def _without_locks() -> None:
    def nothing(*_: Any) -> None:
        return None

    for name in ("flock", "lockf", "fcntl"):
        setattr(fcntl, name, nothing)


if __name__ == "__main__":
    if "NO_LOCKS" in os.environ:
        _without_locks()
    task, kind, root, source, *numbers = sys.argv[1:]
    registry = {"FolderRegistry": FolderRegistry, "NaiveRegistry": NaiveRegistry}[kind](Path(root))
    for line in getattr(Writers(registry, Path(source)), task)(*map(int, numbers)):
        print(line)
