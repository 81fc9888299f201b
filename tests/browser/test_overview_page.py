"""The page of many runs in a real browser: found, sorted, ticked, drawn; and harmless."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from mnistkit import ScriptJob
from mnistkit.reports.overview import overview_page
from mnistkit.runs.record import MetricPoint, RunRecord, RunState, Transition
from mnistkit.runs.row import RunRow
from mnistkit.runs.run import Run
from mnistkit.runs.table import RunTable
from support.browser import CONTRAST, TOO_WIDE
from support.pages import HOSTILE
from support.stub_backend import Paper

pytest.importorskip("playwright", reason="the dependency group 'browser' isn't installed")
pytest.importorskip("jinja2")

N_RUNS = 1000
AT = datetime(2026, 11, 1, 12, tzinfo=timezone.utc)
TRAPS = "window.trapped = true"
HOSTILE_TEXTS = [*HOSTILE, f'<img src=x onerror="{TRAPS}">', f"</script><script>{TRAPS}</script>"]


def record(i: int, rng: random.Random) -> RunRecord:
    """A run of a script with two options, a curve and an accuracy; some failed, some have hostile texts."""
    at, text = AT + timedelta(minutes=i), HOSTILE_TEXTS[i % len(HOSTILE_TEXTS)] if i < 20 else ""
    rate, is_good = rng.choice([0.01, 0.1, 1.0, 10.0]), i % 20 != 5
    curve = [MetricPoint("objective", 100 / (step + 1) + rate, step, at) for step in range(12)]
    scores = [MetricPoint("accuracy", 0.8 + rng.random() * 0.19, None, at)] if is_good else []
    return RunRecord(
        id=f"20261101-{i:06d}-{rng.randrange(16**6):06x}",
        job=ScriptJob("folder", "train.py", ("--rate", str(rate), "--kind", rng.choice(["plain", "deskewed"]))),
        data=text or rng.choice(["digits", "mnist"]),
        transitions=(
            Transition(RunState.QUEUED, at),
            Transition(RunState.COMPLETED if is_good else RunState.FAILED, at + timedelta(seconds=i % 90)),
        ),
        points=(*curve, *scores),
        tags={text or "fold": text or str(i % 5)},
        error=None if is_good else f"ValueError: {text}",
    )


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a thousand runs."""
    rng = random.Random(0)
    records = [record(i, rng) for i in range(N_RUNS)]
    runs = {each.id: Run(Paper(), each) for each in records}
    path = tmp_path_factory.mktemp("page") / "runs.html"
    table = RunTable(Paper(), [RunRow.of(each) for each in records], runs=runs)
    path.write_text(overview_page(table, title="Runs <b>"), encoding="utf-8")
    return path


Look = Callable[[Path], Any]


def first_cells(page: Any, column: str) -> list[str]:
    """The texts of a column in the first rows."""
    heads = page.eval_on_selector_all("#table thead th", "all => all.map(each => each.textContent)")
    place = heads.index(column) + 1
    return page.eval_on_selector_all(
        f"#table tbody tr > :nth-child({place})", "all => all.map(each => each.textContent)"
    )  # type: ignore[no-any-return]


def sort_by(page: Any, column: str) -> float:
    """Click a heading, and return the milliseconds until the table is laid out anew."""
    return page.evaluate(  # type: ignore[no-any-return]
        """name => {
          const button = [...document.querySelectorAll('#table thead button')].find(each => each.textContent === name);
          const start = performance.now();
          button.click();
          document.body.offsetHeight;
          return performance.now() - start;
        }""",
        column,
    )


def test_it_reads_well(look: Look, file: Path) -> None:
    """Nothing is wider than the screen, every text has its contrast, and no hostile text has run."""
    page = look(file)
    page.wait_for_selector("#table tbody tr")
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    assert page.evaluate(TOO_WIDE) == []
    assert [found for found in page.evaluate(CONTRAST) if found[0] < found[1]] == []
    assert page.title() == "Runs <b>"
    page.click("#table tbody tr:nth-child(2) th button")
    assert page.locator("tr.facts").count() == 1
    assert page.evaluate(TOO_WIDE) == []
    page.fill("#find", "onerror")
    assert page.locator("#table tbody img").count() == 0
    assert page.evaluate("window.trapped") is None


@pytest.fixture
def page(chromium: Any, file: Path) -> Any:
    """The page at desktop width, once."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(file.as_uri())
    yield opened
    context.close()
    assert errors == []


def test_a_heading_sorts_within_200_ms(page: Any) -> None:
    """A heading sorts a thousand runs, its second click turns them round, and runs without the value come last."""
    fastest = min(sort_by(page, "accuracy") for _ in range(3))
    values = [float(text) for text in first_cells(page, "accuracy") if text]
    assert values == sorted(values, reverse=True)
    assert len(values) == 100
    sort_by(page, "accuracy")
    values = [float(text) for text in first_cells(page, "accuracy")]
    assert values == sorted(values)
    texts = min(sort_by(page, "data") for _ in range(3))
    assert max(fastest, texts) < 200


def test_runs_are_found_and_chosen(page: Any) -> None:
    """Text and choices filter; two ticked runs are drawn by name, and unticked again."""
    page.select_option("#state", "Failed")
    assert page.inner_text("#count") == f"50 of {N_RUNS} runs"
    page.select_option("#state", "")
    page.fill("#find", "deskewed mnist")
    assert page.inner_text("#count") != f"{N_RUNS} of {N_RUNS} runs"
    page.fill("#find", "")
    for row in (1, 2):
        page.check(f"#table tbody tr:nth-child({row}) input")
    assert page.locator("#curve-chart path.line").count() == 2
    assert page.locator("#curve-chart .legend li").count() == 2
    page.click("#untick")
    page.click("#tick-best")
    assert page.locator("#scatter-chart circle[r='6']").count() == 5
    page.click("#more")
    assert page.locator("#table tbody tr").count() == N_RUNS


def test_dragging_along_an_axis_keeps_runs(page: Any) -> None:
    """A range on an axis of the parallel coordinates keeps the runs in it, a click keeps all again."""
    area = page.locator("rect.catch[data-axis='accuracy']")
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    x = box["x"] + box["width"] / 2
    page.mouse.move(x, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(x, box["y"] + box["height"] / 4, steps=4)
    page.mouse.up()
    kept = int(page.inner_text("#count").split()[0])
    assert 0 < kept < N_RUNS / 2
    page.mouse.click(x, box["y"] + box["height"] / 2)
    assert page.inner_text("#count") == f"{N_RUNS} of {N_RUNS} runs"
