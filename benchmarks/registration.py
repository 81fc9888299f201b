"""What a registration in the folder registry takes: one writer, and eight processes on one model."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path

from harness import Result

from mnistkit.local.registry import FolderRegistry

__all__ = ["results"]

_WRITERS = 8
_MODEL_BYTES = 40_000  # a logistic regression of MNIST


def results(*, quick: bool) -> Iterator[Result]:
    """One comparison: what a version takes of one writer, and of eight together."""
    n, each = (1, 20) if quick else (5, 100)
    pairs = [(_seconds_each(1, each * 2), _seconds_each(_WRITERS, each)) for _ in range(n + 1)][1:]
    one, eight = zip(*pairs, strict=True)
    yield Result(
        what="a registration of a 40 KB model, flushed to the disk",
        a="1 writer",
        b=f"{_WRITERS} processes",
        a_seconds=one,
        b_seconds=eight,
    )


def _seconds_each(writers: int, each: int) -> float:
    """Seconds for one registration, of all writers together, from the common start to the last one's end."""
    context = multiprocessing.get_context("spawn")
    start_line = context.Barrier(writers + 1)
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as temporary:
        root, files = Path(temporary, "registry"), Path(temporary, "files")
        files.mkdir()
        (files / "model.bin").write_bytes(bytes(_MODEL_BYTES))
        processes = [context.Process(target=_write, args=(root, files, each, start_line)) for _ in range(writers)]
        for process in processes:
            process.start()
        start_line.wait()
        start = time.perf_counter()
        for process in processes:
            process.join()
        seconds = time.perf_counter() - start
        n = len(FolderRegistry(root).versions("model"))
    if n != writers * each:
        raise RuntimeError(f"{n} of {writers * each} versions were registered")
    return seconds / n


def _write(root: Path, files: Path, n: int, start_line: Barrier) -> None:
    registry = FolderRegistry(root)
    start_line.wait()
    for _ in range(n):
        registry.register("model", files, format="files")
