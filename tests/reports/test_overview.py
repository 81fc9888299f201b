"""The page of many runs: whole, small, and harmless whatever the runs say."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from mnistkit import ScriptJob, Trainer
from mnistkit.errors import UsageError
from mnistkit.reports.overview import overview_page
from mnistkit.reports.overview_data import overview_data, series_data
from mnistkit.runs.record import MetricPoint, RunRecord, RunState, Transition
from mnistkit.runs.row import RunRow
from mnistkit.runs.run import Run
from mnistkit.runs.table import RunTable
from support.pages import HOSTILE
from support.stub_backend import Paper

pytest.importorskip("jinja2", reason="the extra 'plot' isn't installed")

AT = datetime(2026, 11, 28, 12, tzinfo=timezone.utc)
SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)


def points(name: str, n: int) -> tuple[MetricPoint, ...]:
    """A logged series that falls."""
    return tuple(MetricPoint(name, 100 / (step + 1), step, AT) for step in range(n))


def table(n: int, n_points: int = 0, **values: Any) -> RunTable:
    """A table of so many runs of a script, each with its logged series."""
    runs, rows = {}, []
    for i in range(n):
        record = RunRecord(
            id=f"20261128-120000-{i:06x}", job=ScriptJob("folder", "train.py", ("--rate", str(i / 10))), data="digits",
            transitions=(Transition(RunState.QUEUED, AT), Transition(RunState.COMPLETED, AT)),
            points=(*points("objective", n_points), MetricPoint("accuracy", 1 - 1 / (i + 2), None, AT)),
            tags={"sweep": "abc", "fold": str(i % 5)}, versions={"python": "3.11"},
        )  # fmt: skip
        runs[record.id] = Run(Paper(), record)
        rows.append(RunRow.of(record))
    return RunTable(Paper(), rows, runs=runs)


def embedded(page: str) -> Any:
    """The data of a page."""
    return json.loads(DATA.findall(page)[0])


def test_the_page_holds_every_run() -> None:
    """Each run has its figures, and the series that it logged over several steps."""
    data = embedded(overview_page(table(3, n_points=4)))
    assert [run["metrics"]["accuracy"] for run in data["runs"]] == [0.5, 0.666667, 0.75]
    assert [run["params"] for run in data["runs"]] == [{"rate": 0.0}, {"rate": 0.1}, {"rate": 0.2}]
    assert data["metric"] == "accuracy"
    first = data["runs"][0]["id"]
    assert data["series"][first] == {"objective": [[0, 100.0], [1, 50.0], [2, 33.3333], [3, 25.0]]}


def test_a_thousand_runs_stay_below_five_megabytes() -> None:
    """A thousand runs with a series of 500 values each make a page of less than 5 MB."""
    assert len(overview_page(table(1000, n_points=500)).encode()) < 5_000_000


def test_nothing_but_its_own_script_may_run() -> None:
    """The policy names the script by its hash, and allows nothing else."""
    page = overview_page(table(1))
    (script,) = SCRIPT.findall(page)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page
    assert "default-src 'none'" in page
    assert "unsafe-eval" not in page
    assert not re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(", script)
    assert not re.findall(r"(?:src|href)=\"(?!#main)", page)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_ends_no_element(text: str) -> None:
    """Whatever names, tags, notes and errors say stays within the page's data."""
    row = RunRow(
        id="a", experiment=text, state="Failed", created_at=1.8e9, data=text, model=text, params={text: text},
        metrics={text: math.nan, "accuracy": 1.0}, tags={text: text}, error=text, note=text,
    )  # fmt: skip
    page = overview_page(RunTable(Paper(), [row]), title=text, about=text)
    assert page.count("<script") == 2
    assert "<img" not in page
    assert "<iframe" not in page
    assert "\u202e" not in page
    (run,) = embedded(page)["runs"]
    assert "\u202e" not in run["note"]
    if text.isprintable():
        assert run["note"] == run["error"] == text


def test_secrets_are_masked() -> None:
    """What looks like a secret isn't on the page."""
    row = RunRow(
        id="a", experiment="e", state="Failed", created_at=1.8e9, error="password=CANARY", note="api_key: CANARY",
        tags={"x": "token=CANARY"},
    )  # fmt: skip
    assert "CANARY" not in overview_page(RunTable(Paper(), [row]))


def test_long_series_keep_their_extremes() -> None:
    """A series of 10,000 values is thinned to 100, in order, with its first, last, lowest and highest value."""
    values = [MetricPoint("loss", math.sin(i / 50) + (9 if i == 7_777 else 0), i, AT) for i in range(10_000)]
    (thin,) = series_data([*values, MetricPoint("loss", math.nan, 10_000, AT)], 100).values()
    assert len(thin) <= 100
    assert [step for step, _ in thin] == sorted(step for step, _ in thin)
    assert (thin[0][0], thin[-1][0]) == (0, 9_999)
    assert max(value for _, value in thin) > 8
    assert min(value for _, value in thin) < -0.99


def test_a_run_that_is_gone_has_no_curve() -> None:
    """A run that was deleted after the table was made is still listed."""

    class Empty(Paper):
        def get(self, run_id: str) -> RunRecord:
            from mnistkit.errors import RunNotFoundError

            raise RunNotFoundError(run_id)

    row = RunRow(id="a", experiment="e", state="Completed", created_at=1.8e9)
    assert overview_data(RunTable(Empty(), [row]))["series"] == {}


def test_a_trainer_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of a trainer is written as one file; an empty one as well."""
    monkeypatch.chdir(tmp_path)
    trainer = Trainer.local(data="digits")
    path = trainer.report(trainer.runs())
    assert path == Path("report-runs.html")
    assert embedded(path.read_text(encoding="utf-8"))["runs"] == []
    with pytest.raises(UsageError):
        trainer.runs("accuracy >")
