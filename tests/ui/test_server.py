"""The server: starting, closing, and what it costs."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from mnistkit.errors import ServiceError, UsageError
from mnistkit.runs.record import RunRecord, RunState
from mnistkit.trainer.trainer import Trainer
from mnistkit.ui import UiServer
from mnistkit.ui.listing import RunListing, RunListQuery
from support.stub_backend import Paper
from support.ui import Visitor


def test_it_starts_and_closes(trainer: Any) -> None:
    """It has no address before it is started; closing it twice is harmless, and frees the port."""
    server = UiServer(trainer, port=0)
    with pytest.raises(UsageError, match="haven't been started"):
        server.url  # noqa: B018 - it raises
    with server:
        port = int(server.url.partition("127.0.0.1:")[2].partition("/")[0])
        with pytest.raises(ServiceError, match="--port"):
            UiServer(trainer, port=port).start()
    server.close()
    with UiServer(trainer, port=port) as again:
        assert Visitor.of(again.url).get("/").status == 200
    with pytest.raises(UsageError, match="port"):
        UiServer(trainer, port=70_000)


def test_looking_writes_nothing(tmp_path: Path) -> None:
    """A home that isn't there yet shows empty pages, and stays away."""
    home = tmp_path / "home"
    with UiServer(Trainer.local(data="digits", home=home), port=0) as server:
        visitor = Visitor.of(server.url)
        for path in ("/", "/sweeps", "/models", "/data"):
            assert visitor.get(path).status == 200
        assert json.loads(visitor.get("/api/runs").data)["runs"] == []
    assert not home.exists()


def test_nothing_is_read_while_nobody_looks(trainer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a request the server reads no run, and uses hardly any time of the processor."""
    calls: list[str] = []
    compute = trainer.compute
    for name in ("run_rows", "get", "runs", "logs"):
        found = getattr(compute, name)
        monkeypatch.setattr(compute, name, lambda *a, f=found, n=name, **k: (calls.append(n), f(*a, **k))[1])
    with UiServer(trainer, port=0) as server:
        Visitor.of(server.url).get("/api/runs")
        assert calls
        calls.clear()
        before = time.process_time()
        time.sleep(1.5)
        assert calls == []
        assert time.process_time() - before < 0.3


class Remote(Paper):
    """A service that holds one run and counts how often it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def runs(self, experiment: str | None = None) -> tuple[RunRecord, ...]:
        self.calls += 1
        return (self.get("one"),)


def test_a_service_isnt_called_for_every_poll() -> None:
    """Runs that a service lists are read again after some seconds alone, however many pages poll."""
    remote = Remote()
    remote.states = [RunState.COMPLETED]
    listing = RunListing(remote)
    bodies = {listing.body(RunListQuery(where=where)) for where in ("", "", "state == 'Completed'")}
    assert len(bodies) == 1
    assert remote.calls == 1
