"""The clock that runs are recorded with."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from mnistkit.jobs.job import ScriptJob
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.record import RunState
from mnistkit.utils.clock import CLOCK_VARIABLE, utc_now


def test_the_clock_of_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its offset in the environment, the time is that of the machine that submitted a run."""
    monkeypatch.setenv(CLOCK_VARIABLE, "-600.5")
    assert abs(utc_now() - datetime.now(timezone.utc) + timedelta(seconds=600.5)) < timedelta(seconds=5)
    assert abs(utc_now({}) - datetime.now(timezone.utc)) < timedelta(seconds=5)


def test_states_are_in_order_whatever_the_clock_does(tmp_path: Path) -> None:
    """A clock that is set back doesn't record a state before the one that it followed."""
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    store = RunStore(tmp_path, lambda: now)
    run_id = store.create(ScriptJob("folder"), "digits")
    store.advance(run_id, RunState.PREPARING)  # long before it was created, by this clock
    times = [transition.at for transition in store.read(run_id).transitions]
    assert times == sorted(times)
