"""The whole command ``mnistkit train``, next to the script that one would write instead; its parts; and lists of runs.

The script reads the same files, fits scikit-learn's LogisticRegression with its default solver, evaluates and pickles
it. The parts of the command are those of its run's record, and what comes before and after that; CPU seconds beside
them, as these mean something on a busy machine too. Set MNISTKIT_CACHE to where MNIST is if that isn't the default.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from harness import Result, compare, in_turn

from data import mnist, write_files

__all__ = ["results"]

_RUNS = 300
_SCRIPT = """
import glob, gzip, pickle, struct, sys
import numpy as np
from sklearn.linear_model import LogisticRegression

def load(pattern, dimensions, n=None):
    with gzip.open(glob.glob(sys.argv[1] + "/*" + pattern + "*")[0]) as file:
        shape = struct.unpack(">" + "I" * (dimensions + 1), file.read(4 * (dimensions + 1)))[1:]
        return np.frombuffer(file.read(), np.uint8).reshape(shape[0], -1)[:n]

n = int(sys.argv[2]) or None
X, y = load("train-images", 3, n) / np.float32(255), load("train-labels", 1, n).ravel()
X_test, y_test = load("t10k-images", 3) / np.float32(255), load("t10k-labels", 1).ravel()
model = LogisticRegression(C=2.0, tol=1e-3).fit(X, y)
print(np.average(model.predict(X_test) == y_test))
with open(sys.argv[3], "wb") as file:
    pickle.dump(model, file)
"""
_CLIENT = """
import atexit, resource, sys, time

@atexit.register
def report():
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(time.process_time(), children.ru_utime + children.ru_stime, file=sys.stderr)

from mnistkit.cli import main
main()
"""
_IMPORTS = {
    "an interpreter": "pass",
    "imports of the command line": "import mnistkit.cli.app",
    "imports of the client": "import mnistkit.cli.app, mnistkit.cli.watch, mnistkit.trainer.trainer",
    "imports of the worker, without skops": "import mnistkit.training, mnistkit.estimators.logistic",
    "imports of the worker": "import mnistkit.runs.folder.worker as worker; worker._import_ahead()",
}


def results(*, quick: bool) -> Iterator[Result]:
    """The command and the script in turn, each part alone, then the commands that list."""
    n = 1 if quick else 5
    limit = 2000 if quick else 0
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as name:
        folder, files = Path(name), Path(name, "gz")
        files.mkdir()
        write_files(mnist(2000 if quick else None), files, ".gz")
        script = [sys.executable, "-c", _SCRIPT, str(files), str(limit), str(folder / "model.pkl")]
        train = _command("train", *(["--limit", str(limit)] if limit else []), home=folder / "home")
        train()
        yield Result(
            what="the whole command",
            a="a script with scikit-learn: LogisticRegression(C=2.0, tol=1e-3), pickled",
            b="mnistkit train",
            **in_turn(lambda: subprocess.run(script, check=True, capture_output=True), train, quick=quick),
        )
        parts = [_parts(folder / "home", limit) for _ in range(n)]
        for part in parts[0]:
            yield _alone(part, [each[part] for each in parts])
        for part, statement in _IMPORTS.items():
            yield _alone(f"{part}, CPU", [_cpu_of(statement) for _ in range(n)])
        yield from _lists(folder / "home", n=n)


def _lists(home: Path, *, n: int) -> Iterator[Result]:
    """Lists of 300 runs, next to the import that no command can do without."""
    one = next(path for path in (home / "runs").iterdir() if path.is_dir() and not path.name.startswith("."))
    for i in range(_RUNS):
        shutil.copytree(one, home / "runs" / f"20200101-000000-{i:06x}")
    time.sleep(2.5)  # what has just changed isn't taken from the index
    program = [sys.executable, "-c", "import typer"]
    bare = ("import typer", lambda: subprocess.run(program, check=True))
    for words in (("--version",), ("--help",), ("models", "list"), ("runs", "list")):
        command = _command(*words, home=home)
        command()
        yield compare(f"{_RUNS} runs", bare, (f"mnistkit {' '.join(words)}", command), n=n)


def _parts(home: Path, limit: int) -> dict[str, float]:
    """Run ``mnistkit train`` once, and return its parts in seconds."""
    words = ["train", "--json", "--quiet", *(["--limit", str(limit)] if limit else [])]
    environment = {**os.environ, "MNISTKIT_HOME": str(home)}
    began = time.time()
    done = subprocess.run(
        [sys.executable, "-c", _CLIENT, *words], env=environment, capture_output=True, text=True, check=True
    )
    ended = time.time()
    document: dict[str, Any] = json.loads(done.stdout)
    client, worker = map(float, done.stderr.split()[-2:])
    run, fit = document["run"], document["metrics"]["training seconds"]
    seconds = {phase["state"]: phase["seconds"] for phase in run["phases"]}
    queued, finished = (datetime.fromisoformat(run[name]).timestamp() for name in ("created_at", "finished_at"))
    return {
        "until the run is queued: imports of the client, reading": queued - began,
        "until the worker has imported what it needs": seconds["Queued"],
        "fork, reading": seconds["Preparing"],
        "the fit": fit,
        "input record, model file, evaluation": seconds["Running"] - fit,
        "the end of the processes of the run": seconds.get("Finalizing", 0.0),
        "registration, output, exit": ended - finished,
        "the client, CPU": client,
        "the worker and what it forked, CPU": worker,
    }


def _alone(part: str, taken: list[float]) -> Result:
    return Result(what="mnistkit train, a part", a="", b=part, a_seconds=(), b_seconds=taken)


def _command(*words: str, home: Path):  # noqa: ANN202 - a function of no arguments
    program = [sys.executable, "-m", "mnistkit", *words]
    environment = {**os.environ, "MNISTKIT_HOME": str(home)}
    return lambda: subprocess.run(program, env=environment, check=True, capture_output=True)


def _cpu_of(statement: str) -> float:
    program = f"import time\n{statement}\nprint(time.process_time())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])
