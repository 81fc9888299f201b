"""Several processes register and promote at once: nothing is lost, nothing is out of order."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mnistkit.mlflow import MlflowRegistry
from mnistkit.registry import ModelInfo
from support.mlflow_server import Server

WRITER = """
import contextlib, sys
from pathlib import Path
from mnistkit.errors import ConflictError
from mnistkit.mlflow import MlflowRegistry
from mnistkit.registry import ModelInfo

uri, folder, writer, n = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
registry = MlflowRegistry(uri)
registry.names()
print("ready", flush=True)
sys.stdin.readline()
for turn in range(n):
    made = registry.register("digits", folder, ModelInfo(format="files", tags={"writer": f"{writer}-{turn}"}))
    print(made.version, flush=True)
    done = False
    while not done:
        history = registry.aliases("digits").get("champion", ())
        with contextlib.suppress(ConflictError):
            registry.assign("digits", "champion", made.version, reason=str(len(history) + 1), seen=history)
            done = True
"""


WRITERS = 4


def race(uri: str, folder: Path, n: int) -> None:
    """Let four processes register and promote ``n`` versions each, and check what came of it."""
    (folder / "model").mkdir()
    (folder / "model" / "notes.txt").write_text("x")
    command = [sys.executable, "-c", WRITER, uri, str(folder / "model")]
    processes = [
        subprocess.Popen([*command, str(writer), str(n)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for writer in range(WRITERS)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    numbers = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        numbers += [int(line) for line in process.communicate()[0].split()]
        assert process.returncode == 0
    total = WRITERS * n
    assert sorted(numbers) == list(range(1, total + 1))
    registry = MlflowRegistry(uri)
    versions = registry.versions("digits")
    assert [each.version for each in versions] == list(range(total, 0, -1))
    assert len({each.tags["writer"] for each in versions}) == total
    history = registry.aliases("digits")["champion"]
    assert [each.reason for each in history] == [str(number) for number in range(1, total + 1)]
    assert {each.version for each in history} == set(range(1, total + 1))
    registry.register("digits", folder / "model", ModelInfo(format="files"))
    assert registry.get("digits").version == total + 1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_race_on_a_file(sqlite_uri: str, tmp_path: Path) -> None:
    """Four processes register and promote 25 versions each in one database file."""
    race(sqlite_uri, tmp_path, 25)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_race_on_a_server(own_server: Server, tmp_path: Path) -> None:
    """Four processes register and promote 25 versions each on a server with two workers."""
    own_server.workers = 2
    own_server.start()
    race(own_server.uri, tmp_path, 25)
