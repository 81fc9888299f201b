"""The program of a batch scoring job: it hands mini batches of files to processes that run the scoring script.

Run by path, in the folder of the script; it imports nothing of mnistkit, so that the script sees what it would see
alone. With ``--worker`` it is one of those processes: it gets each mini batch as a line of JSON, and writes one back.
A scoring script that hangs or dies is ended with its process, and the mini batch is tried again in a new one.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import queue
import subprocess
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

_READY = "ready"
_STOP_SECONDS = 5.0
_MLFLOW_SCRIPT = Path(__file__).with_name("mlflow_batch_scoring.py")
_APPEND = "AppendRow"


def main(arguments: Sequence[str] | None = None) -> int:
    """Score all files; return the exit code."""
    options = _parser().parse_args(arguments)
    if options.worker:
        return _serve(options.script, is_kept=options.action == _APPEND)
    files = _files(options.input)
    size = options.mini_batch_size
    batches = [files[start : start + size] for start in range(0, len(files), size)]
    options.output.mkdir(parents=True, exist_ok=True)
    _set_environment(options)
    count = max(min(options.workers, len(batches)), 1)
    _log(f"{len(files)} files in {len(batches)} mini batches, {count} at once.")
    scoring = Scoring(batches, options)
    threads = [threading.Thread(target=scoring.work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if options.action == _APPEND:
        scoring.write(options.output / options.output_file)
    _log(f"{len(files)} files, {scoring.failed} of them failed.")
    if scoring.error:
        _log(scoring.error)
    return 1 if scoring.error else 0


class Scoring:
    """The mini batches that are still to be scored, and the results so far.

    Attributes:
        failed: How many files failed.
        error: Why the job fails; empty for not at all.
    """

    def __init__(self, batches: Sequence[list[str]], options: argparse.Namespace) -> None:
        self.failed = 0
        self.error = ""
        self._options = options
        self._todo: queue.SimpleQueue[tuple[int, list[str]]] = queue.SimpleQueue()
        for each in enumerate(batches):
            self._todo.put(each)
        self._rows: dict[int, str] = {}
        self._lock = threading.Lock()

    def work(self) -> None:
        """Score mini batches in processes of this thread, one after the other, until there are no more."""
        worker: Worker | None = None
        try:
            while not self.error:
                index, files = self._todo.get_nowait()
                worker = self._score(worker, index, files)
        except queue.Empty:
            return
        except WorkerError as error:
            self.error = f"The scoring script can't be used: {error}"
        finally:
            if worker is not None:
                worker.stop()

    def write(self, file: Path) -> None:
        """Write the rows, in the order of the mini batches."""
        file.write_text("".join(self._rows[index] for index in sorted(self._rows)), encoding="utf-8")

    def _score(self, worker: Worker | None, index: int, files: list[str]) -> Worker | None:
        """Score one mini batch, again and again if it fails; return the process for the next one."""
        for attempt in range(1 + self._options.max_retries):
            worker = worker or Worker(self._options)
            try:
                count, rows = worker.score(files, self._options.timeout)
            except WorkerError as error:
                _log(f"Mini batch {index}, attempt {attempt + 1}: {error}")
                if worker.is_gone:
                    worker = None
            else:
                self._note(index, rows, max(len(files) - count, 0))
                return worker
        self._note(index, "", len(files))
        return worker

    def _note(self, index: int, rows: str, failed: int) -> None:
        with self._lock:
            self._rows[index] = rows
            self.failed += failed
            allowed = self._options.error_threshold
            if self.failed > allowed >= 0:
                self.error = f"{self.failed} files failed, and the error threshold is {allowed}."


class WorkerError(Exception):
    """A scoring script doesn't give a result."""


class Worker:
    """A process that runs the scoring script.

    Raises:
        WorkerError: The script can't be imported, or its ``init()`` raises.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        command = [sys.executable, __file__, "--worker", "--script", str(options.script), "--action", options.action]
        # the script's own prints go to the error stream, and so into the log
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")  # noqa: S603 - the user's own
        if self._line() != _READY:
            self.stop()
            raise WorkerError("its import or init() ended; the log says why.")

    @property
    def is_gone(self) -> bool:
        """True if the process has ended."""
        return self._process.poll() is not None

    def score(self, files: list[str], seconds: float) -> tuple[int, str]:
        """Return how many elements ``run()`` returned, and their rows.

        Raises:
            WorkerError: It raised, took too long, or ended the process.
        """
        timer = threading.Timer(seconds, self._process.kill)
        timer.start()
        try:
            _write(_stream(self._process.stdin), json.dumps(files))
            line = self._line()
        except OSError:
            line = ""
        is_late = not timer.is_alive()
        timer.cancel()
        if not line:
            self.stop()
            raise WorkerError(f"run() took longer than {seconds:g} seconds." if is_late else "run() ended its process.")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return int(answer["count"]), str(answer["rows"])

    def stop(self) -> None:
        """End the process; idempotent."""
        with contextlib.suppress(OSError):
            _stream(self._process.stdin).close()  # its work is done then
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _stream(self._process.stdout).close()

    def _line(self) -> str:
        return _stream(self._process.stdout).readline().rstrip("\n")


def _stream(given: IO[str] | None) -> IO[str]:
    if given is None:
        raise WorkerError("its process has no streams.")
    return given


def _write(stream: IO[str], line: str) -> None:
    stream.write(f"{line}\n")
    stream.flush()


def _log(text: str) -> None:
    _write(sys.stderr, text)


def _serve(script: Path, *, is_kept: bool) -> int:
    """Run a scoring script for the mini batches that come by the standard input; return the exit code."""
    requests, answers = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    with open(os.devnull, encoding="utf-8") as nothing:  # noqa: PTH123 - the script must not read or write these two
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    sys.path[0:1] = [str(script.parent), str(Path.cwd())]
    spec = importlib.util.spec_from_file_location("entry_module", script)
    if spec is None or spec.loader is None:
        raise ImportError(f"{script.name} isn't a Python script.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    module.init()
    _write(answers, _READY)
    for line in requests:
        _write(answers, json.dumps(_result(module.run, json.loads(line), is_kept=is_kept)))
    return 0


def _result(run: Any, files: list[str], *, is_kept: bool) -> dict[str, Any]:
    try:
        count, rows = _rows(run(files))
    except BaseException as error:  # noqa: BLE001 - sys.exit() in a script doesn't end the others' process either
        traceback.print_exc()
        return {"error": f"run() failed: {error!r}"}
    return {"count": count, "rows": rows if is_kept else ""}


def _rows(found: Any) -> tuple[int, str]:
    """Return the number of elements of a result, and a line for each."""
    if hasattr(found, "to_csv"):
        return len(found), found.to_csv(sep=" ", header=False, index=False)
    if found is None or isinstance(found, (str, bytes, dict)):
        kind = type(found).__name__
        raise TypeError(f"run() has to return a DataFrame, a list or an array, it returned {kind}.")
    items = list(found)
    return len(items), "".join(f"{each}\n" for each in items)


def _files(place: Path) -> list[str]:
    if place.is_file():
        return [str(place)]
    return [str(each) for each in sorted(place.rglob("*")) if each.is_file()]


def _set_environment(options: argparse.Namespace) -> None:
    """Set the variables by which scoring scripts find the model and the folder of the output."""
    os.environ["AZUREML_BI_OUTPUT_PATH"] = str(options.output)
    if options.model is None:
        return
    folder = options.model.parent
    if options.model.is_dir():  # the variable names the folder above that of the model
        folder = folder / "azureml-models"
        folder.mkdir()
        options.model.rename(folder / options.model_name)  # it was copied for this job alone
    os.environ["AZUREML_MODEL_DIR"] = str(folder)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worker", action="store_true", help="run the script in this very process")
    parser.add_argument("--script", type=Path, default=_MLFLOW_SCRIPT, help="that of MLflow models by default")
    parser.add_argument("--model", type=Path, help="the model's folder or file")
    parser.add_argument("--model-name", default="model", help="the folder's name, as the script sees it")
    parser.add_argument("--input", type=Path, help="a folder or a file")
    parser.add_argument("--output", type=Path, help="a folder")
    parser.add_argument("--output-file", default="predictions.csv")
    parser.add_argument("--action", choices=(_APPEND, "SummaryOnly"), default=_APPEND)
    parser.add_argument("--mini-batch-size", type=int, default=10, help="in files")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--error-threshold", type=int, default=-1, help="in files; -1 for any number")
    parser.add_argument("--max-retries", type=int, default=3)
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds for a mini batch")
    return parser


if __name__ == "__main__":
    sys.exit(main())
