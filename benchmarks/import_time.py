"""How long ``import mnistkit`` takes in a fresh interpreter, next to an interpreter that imports nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from harness import Result, compare

__all__ = ["results"]


def results(*, quick: bool) -> Iterator[Result]:
    """Two comparisons: the package alone, and the name that most programs begin with."""
    n = 3 if quick else 21
    bare = ("bare python", lambda: _python("pass"))
    yield compare("import", bare, ("import mnistkit", lambda: _python("import mnistkit")), n=n)
    numpy = ("import numpy", lambda: _python("import numpy"))
    trainer = ("from mnistkit import Trainer", lambda: _python("from mnistkit import Trainer"))
    yield compare("import", numpy, trainer, n=n)


def _python(program: str) -> None:
    subprocess.run([sys.executable, "-c", program], check=True)
