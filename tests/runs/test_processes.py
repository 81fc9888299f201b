"""The tools for child processes of jobs."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

LIMIT = """
import json, numpy, sklearn.linear_model
from sklearn.utils import _openmp_helpers
from threadpoolctl import threadpool_info
from mnistkit.runs.folder.processes import limit_threads, thread_variables
variables = thread_variables(2)
limit_threads(2)
print(json.dumps([variables, {lib["internal_api"]: lib["num_threads"] for lib in threadpool_info()}]))
"""


def limited(**variables: str) -> tuple[dict[str, str], dict[str, int]]:
    """The variables, and the numbers of threads by library, of a process that is held to 2 threads."""
    plain = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    command = [sys.executable, "-c", LIMIT]
    done = subprocess.run(command, env={**plain, **variables}, capture_output=True, text=True, check=True)
    named, threads = json.loads(done.stdout)
    return named, threads


@pytest.mark.parametrize(
    ("variables", "openblas", "openmp"),
    [
        ({}, 2, 2),
        ({"OMP_NUM_THREADS": "1"}, 1, 1),
        ({"OPENBLAS_NUM_THREADS": "1"}, 1, 2),
        ({"OMP_NUM_THREADS": "1,4"}, 1, 1),
        ({"OMP_NUM_THREADS": "8"}, 2, 2),
        ({"OMP_NUM_THREADS": "many"}, 2, 2),
    ],
)
def test_the_smaller_number_of_threads_counts(variables: dict[str, str], openblas: int, openmp: int) -> None:
    """Numeric libraries get the smaller of the limit and what the user set, whether they are loaded yet or not."""
    named, threads = limited(**variables)
    assert named["OPENBLAS_NUM_THREADS"] == str(openblas)
    assert named["OMP_NUM_THREADS"] == str(openmp)
    cores = os.cpu_count() or 1
    if "openblas" in threads:
        assert threads["openblas"] == min(openblas, cores)
    assert threads["openmp"] == openmp
