"""What a registration in the folder registry takes, next to MLflow's sqlite registry, and what a listing takes.

MLflow's registry keeps a row and leaves the model's files where they are; ours copies, hashes and flushes them as well.
"""

from __future__ import annotations

import itertools
import multiprocessing
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import metadata
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from time import perf_counter

from attrs import frozen
from harness import Result, timed

from mnistkit.local.registry.registry import FolderRegistry

__all__ = ["results"]

_WRITERS = 8
_MODEL_BYTES = 40_000  # a logistic regression of MNIST
_NAME = "model"

Register = Callable[[], object]
"""Registers one version, or raises."""


def results(*, quick: bool) -> Iterator[Result]:
    """One writer and eight, eight and MLflow's eight, and listings of 1,000 and 10,000 versions."""
    n, each = (1, 20) if quick else (5, 100)
    pairs = [(_race(_folder, 1, each * 2), _race(_folder, _WRITERS, each)) for _ in range(n + 1)][1:]
    yield Result(
        what="a registration of a 40 KB model, flushed to the disk",
        a="1 writer",
        b=f"{_WRITERS} processes",
        a_seconds=[one.mean for one, _ in pairs],
        b_seconds=[eight.mean for _, eight in pairs],
    )
    yield from _next_to_mlflow(n, each // 2)
    for count in (100,) if quick else (1_000, 10_000):
        yield from _many(count, n)


@frozen
class _Times:
    """What the writers saw: seconds of each registration that succeeded, and from the start to the last one's end."""

    each: list[float]
    total: float

    @property
    def mean(self) -> float:
        """Seconds for one registration, of all writers together."""
        return self.total / len(self.each)

    @property
    def p99(self) -> float:
        """What one of a hundred takes longer than."""
        return statistics.quantiles(self.each, n=100)[-1]


def _next_to_mlflow(n: int, each: int) -> Iterator[Result]:
    try:
        version = metadata.version("mlflow-skinny")
    except metadata.PackageNotFoundError:
        print("mlflow-skinny isn't installed, so it is left out: pip install --group peers", file=sys.stderr)
        return
    pairs = [(_race(_mlflow, _WRITERS, each), _race(_folder, _WRITERS, each)) for _ in range(n)]
    lost = sum(_WRITERS * each - len(theirs.each) for theirs, _ in pairs)
    for what, of in (
        ("a registration", lambda times: times.mean),
        ("the p99 of a registration", lambda times: times.p99),
    ):
        yield Result(
            what=f"{what}, {_WRITERS} processes",
            a=f"MLflow {version} on sqlite, no files; {lost} of {n * _WRITERS * each} failed",
            b="a 40 KB model, flushed to the disk",
            a_seconds=[of(theirs) for theirs, _ in pairs],
            b_seconds=[of(ours) for _, ours in pairs],
        )


def _many(count: int, n: int) -> Iterator[Result]:
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as temporary:
        register = _folder(Path(temporary))
        register()
        versions = Path(temporary, "registry", "models", _NAME, "versions")
        for number in range(2, count + 1):
            shutil.copytree(versions / "1", versions / str(number))
        registry = FolderRegistry(Path(temporary, "registry"))
        if len(registry.versions(_NAME)) != count:
            raise RuntimeError(f"not all of {count} versions are listed")
        listings = [timed(lambda: registry.versions(_NAME)) for _ in range(2 * n)]
        registrations = [timed(register) for _ in range(2 * n)]
    yield Result(what=f"{count:,} versions", a="", b="listing all", a_seconds=(), b_seconds=listings)
    yield Result(what=f"{count:,} versions", a="", b="registering one more", a_seconds=(), b_seconds=registrations)


def _race(kind: Callable[[Path], Register], writers: int, each: int) -> _Times:
    """Let processes register ``each`` versions, from a common start."""
    context = multiprocessing.get_context("spawn")
    start_line = context.Barrier(writers + 1)
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as temporary:
        kind(Path(temporary))()  # makes what is made once
        pipes = [context.Pipe(duplex=False) for _ in range(writers)]
        processes = [
            context.Process(target=_write, args=(kind, Path(temporary), each, start_line, mouth)) for _, mouth in pipes
        ]
        for process in processes:
            process.start()
        start_line.wait()
        start = perf_counter()
        times = list(itertools.chain.from_iterable(ear.recv() for ear, _ in pipes))
        total = perf_counter() - start
        for process in processes:
            process.join()
        n = len(FolderRegistry(Path(temporary, "registry")).versions(_NAME))
    if kind is _folder and n != writers * (each + 1) + 1:
        raise RuntimeError(f"{n} of {writers * (each + 1) + 1} versions were registered")
    return _Times(times, total)


def _write(kind: Callable[[Path], Register], folder: Path, n: int, start_line: Barrier, mouth: Connection) -> None:
    register, times = kind(folder), []
    with suppress(Exception):
        register()  # loads what is loaded once
    start_line.wait()
    for _ in range(n):
        start = perf_counter()
        with suppress(Exception):  # it is missing among the times
            register()
            times.append(perf_counter() - start)
    mouth.send(times)


def _folder(folder: Path) -> Register:
    registry, files = FolderRegistry(folder / "registry"), folder / "files"
    if not files.exists():
        files.mkdir()
        (files / "model.bin").write_bytes(bytes(_MODEL_BYTES))
    return lambda: registry.register(_NAME, files, format="files")


def _mlflow(folder: Path) -> Register:
    import logging

    logging.disable(logging.INFO)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    uri = f"sqlite:///{folder}/mlflow.db"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    with suppress(MlflowException):  # it is there
        client.create_registered_model(_NAME)
    return lambda: client.create_model_version(_NAME, source=str(folder))
