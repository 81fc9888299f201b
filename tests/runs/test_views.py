"""What notebooks show of the values."""

from __future__ import annotations

import re
from datetime import timedelta

import numpy as np
import pytest

from mnistkit.data.dataset import Dataset, Split
from mnistkit.jobs.job import ScriptJob, TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.local.threads import InProcessCompute
from mnistkit.registry.version import ModelVersion
from mnistkit.runs import views
from mnistkit.runs.record import Attempt, MetricPoint, RunRecord, RunState, Transition
from mnistkit.runs.run import Run
from mnistkit.utils.clock import utc_now
from mnistkit.utils.files import FileInfo
from mnistkit.utils.markup import safe
from support.pages import HOSTILE, Page

NOW = utc_now() - timedelta(seconds=100)
SVC = TrainingJob(model=ModelSpec("sklearn.svm.SVC"))
WAY = ("Queued", "Preparing", "Running", "Completed")


def record(*states: str, **rest: object) -> RunRecord:
    """A run that entered a state a second."""
    transitions = tuple(Transition(RunState(name), NOW + timedelta(seconds=i)) for i, name in enumerate(states))
    values = {"id": "run-1", "job": SVC, "data": "digits", "transitions": transitions, **rest}
    return RunRecord(**values)  # type: ignore[arg-type]


def points(**values: float) -> tuple[MetricPoint, ...]:
    """Logged values, with their positions as steps."""
    return tuple(MetricPoint(name, value, step, NOW) for step, (name, value) in enumerate(values.items()))


def dataset(images: np.ndarray, labels: list[int], names: tuple[str, ...], name: str = "mine") -> Dataset:
    """A dataset whose halves are the same."""
    split = Split(images=images, labels=np.array(labels, dtype=np.uint8))
    return Dataset(name=name, version="1", uri="idx:here", class_names=names, train=split, test=split)


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_in_a_run_becomes_markup(text: str) -> None:
    """Ids, jobs, tags, metrics, files, errors, tracebacks, addresses and log lines are shown as text."""
    attempt = Attempt(started_at=NOW, ended_at=NOW, cause="error", error=text, signal=text)
    hostile = record(
        *WAY[:3],
        "Failed",
        id=text,
        job=ScriptJob("folder", "train.py", (text,)),
        data=text,
        points=(MetricPoint(text, 1.0, None, NOW),),
        files=(text,),
        tags={text: text},
        error=text,
        traceback=text,
        attempts=(attempt, attempt),
        url=text,
    )
    page = Page(views.run_html(hostile, log=text, footnote=text))
    page.check()
    assert page.text.count(safe(text)) >= 16


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_in_a_model_or_dataset_becomes_markup(text: str) -> None:
    """Names, tags, descriptions, files, versions and class names are shown as text."""
    model = ModelVersion(
        name=text, version=1, created_at=NOW, format=text, files={text: FileInfo(3, text)}, digest=text,
        metrics={text: 0.5}, tags={text: text}, description=text, run_id=text, versions={text: text}, location=text,
    )  # fmt: skip
    named = dataset(np.zeros((1, 2, 2), dtype=np.uint8), [0], (text,), name=text)
    for html in (model._repr_html_(), named._repr_html_()):
        Page(html).check()
        assert safe(text) in Page(html).text


def test_a_run_shows_state_times_metrics_and_job() -> None:
    """The state in words, a time line, each metric, and what ran."""
    page = Page(record(*WAY, points=points(accuracy=0.97, loss=float("nan")))._repr_html_())
    for words in ("Run run-1", "Completed", "Running 1.0 s", "accuracy", "0.97", "nan", "SVC()"):
        assert words in page.text
    assert "attempt" not in page.text
    assert "last look" not in page.text


def test_a_handle_says_that_it_may_have_gone_on() -> None:
    """The view of a run that hasn't ended says that it is as of the last look; making it looks at nothing."""
    run = Run(InProcessCompute("there is no such folder"), record(*WAY[:3]))
    assert "As of the last look" in run._repr_html_()


def test_attempts_are_a_table() -> None:
    """Several attempts have a row each: how it ended, how long it took, its signal; one alone has none."""
    first = Attempt(started_at=NOW, ended_at=NOW + timedelta(seconds=5), cause="killed", signal="SIGSEGV")
    second = Attempt(started_at=NOW, ended_at=NOW + timedelta(seconds=65))
    run = record("Queued", "Preparing", "Running", "Preparing", "Running", "Completed", attempts=(first, second))
    assert views.attempt_rows(run) == [
        ("1", "killed", "5.0 s", "SIGSEGV", ""),
        ("2", "its end", "1:05", "", ""),
    ]
    assert "Preparing (attempt 2) 1.0 s" in Page(run._repr_html_()).text
    assert "SIGSEGV" in Page(run._repr_html_()).text
    assert views.attempt_rows(record(*WAY[:3], "Failed", attempts=(first,))) == []
    assert len(views.attempt_rows(record(*WAY[:3], attempts=(first,)))) == 1


def test_many_metrics_are_folded() -> None:
    """More metrics than one wants to scroll through are there to unfold."""
    few, many = (record(*WAY, points=points(**{f"m{i}": 0.5 for i in range(n)})) for n in (20, 21))
    assert "<details" not in few._repr_html_()
    assert "Metrics: 21" in many._repr_html_()


def test_a_dataset_shows_an_image_of_each_class() -> None:
    """Each class that has images has one, dark on white, with its name and their number; a class without has none."""
    images = np.array([[[0, 255]], [[255, 0]], [[9, 9]]], dtype=np.uint8)
    html = dataset(images, [2, 0, 2], ("zero", "one", "two"))._repr_html_()
    assert re.findall(r"<figcaption[^>]*>([^<]+)<", html) == ["zero (1)", "two (2)"]
    assert html.count("<img ") == 2
    assert "3 to train on" in html


def test_a_large_dataset_has_a_small_view() -> None:
    """Of many classes twenty are shown, of large images every so many pixels."""
    images = np.random.default_rng(0).integers(0, 256, (47, 512, 300), dtype=np.uint8)
    html = dataset(images, list(range(47)), tuple(map(str, range(47))))._repr_html_()
    assert html.count("<img ") == 20
    assert "27 more classes" in html
    assert len(html) < 200_000


def test_a_model_shows_where_it_comes_from() -> None:
    """A version's name, run, metrics and files."""
    model = ModelVersion(
        name="mnist", version=3, created_at=NOW, format="skops", files={"model.skops": FileInfo(12345, "ab" * 32)},
        digest="cd" * 32, metrics={"accuracy": 0.92}, run_id="run-1",
    )  # fmt: skip
    text = Page(model._repr_html_()).text
    for words in ("Model mnist:3", "run-1", "0.92", "model.skops", "12,345 bytes"):
        assert words in text


def test_the_last_metric_is_one_line() -> None:
    """While a run goes on its last point is shown with its step; once it has ended its accuracy."""
    logged = points(accuracy=0.5, objective=12345.67)
    assert views.metrics_text(record(*WAY[:3], points=logged)) == "objective 12345.7 (step 1)"
    assert views.metrics_text(record(*WAY, points=logged)) == "accuracy 0.5000"
    assert views.metrics_text(record(*WAY, points=points(loss=1))) == "loss 1 (step 0)"
    assert views.metrics_text(record(*WAY)) == ""


def test_the_phases_are_one_line() -> None:
    """Each state with its time, the second attempt's marked."""
    assert views.phases_text(record(*WAY)) == "Queued 1.0 s, Preparing 1.0 s, Running 1.0 s"


@pytest.mark.parametrize("state", list(RunState))
def test_state_colours_are_seen_on_light_and_dark(state: RunState) -> None:
    """Each state has a colour with a contrast of at least 3:1 to white and to black (WCAG 2.2, 1.4.11)."""
    found = re.search(r"color:#(\w{6})", views.state_html(state))
    assert found
    channels = [int(found[1][i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    assert 1.05 / (luminance + 0.05) >= 3
    assert (luminance + 0.05) / 0.05 >= 3
