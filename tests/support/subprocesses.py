"""Settings of the processes that tests start."""

from __future__ import annotations

import os
from pathlib import Path


def python_path() -> str:
    """Return a ``PYTHONPATH`` with the folder of the tests before what is there, so that both can be imported."""
    return os.pathsep.join(filter(None, (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH"))))
