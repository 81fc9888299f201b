"""Ten thousand runs: the newest hundred are listed quickly, by run history and by MLflow."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path

import pytest

pytest.importorskip("h11")

from emulator import runs_client as runs
from emulator.conftest import Client
from mnistkit.emulator import AzureMLEmulator

COUNT, LIMIT_SECONDS = 10_000, 0.1


def test_ten_thousand_runs(tmp_path: Path) -> None:
    """Such a state is opened, its newest hundred are listed within 100 ms of processor time, and one more is made."""
    with AzureMLEmulator(tmp_path) as emulator:
        client = Client(emulator)
        first = runs.make_run(client, "run-0", status="Completed")
    with sqlite3.connect(tmp_path / "workspace" / "state.sqlite") as database:  # as if they had been made one by one
        (text,) = database.execute("SELECT value FROM runs WHERE key = 'run-0'").fetchone()
        record, rows = json.loads(text), []
        for number in range(1, COUNT):
            moment = f"2026-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}.000000+00:00"
            named = {"runId": f"run-{number}", "displayName": f"run-{number}", "runNumber": number + 1}
            rows.append((f"run-{number}", json.dumps({**record, **named, "startTimeUtc": moment})))
        database.executemany("INSERT INTO runs VALUES (?, ?)", rows)
    database.close()
    with AzureMLEmulator(tmp_path) as emulator:
        client = Client(emulator)
        experiment = first["experimentId"]
        search = f"{runs.scope(client, 'mlflow/v2.0')}/api/2.0/mlflow/runs/search"
        body = {"experiment_ids": [experiment], "max_results": 100}
        asked = {
            "history": lambda: runs.history(client, "POST", "/runs:query", {"top": 100})["value"],
            "mlflow": lambda: runs.answer(client.ask("POST", search, body=body))["runs"],
        }
        for name, ask in asked.items():
            ask()  # the first reads what is shared by all
            seconds = []
            for _ in range(5):
                start = time.process_time()
                found = ask()
                seconds.append(time.process_time() - start)
            assert len(found) == 100
            assert min(seconds) < LIMIT_SECONDS, (name, seconds)
        newest = runs.history(client, "POST", "/runs:query", {"top": 100})["value"]
        assert "run-9999" in {each["runId"] for each in newest}
        assert runs.make_run(client, "one-more")["runNumber"] == COUNT + 1
