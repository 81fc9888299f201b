"""Summaries of values, and how notebooks and terminals show them."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve

from mnistkit.data.dataset import Dataset
from mnistkit.data.split import Split
from mnistkit.evaluation.comparison import Comparison
from mnistkit.evaluation.scores import ClassScore, Evaluation
from mnistkit.jobs.job import ScriptJob, TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.local.threads import InProcessCompute
from mnistkit.registry.table import VersionTable
from mnistkit.registry.version import ModelVersion
from mnistkit.runs.record import Attempt, MetricPoint, RunRecord, RunState, Transition
from mnistkit.runs.run import Run
from mnistkit.trainer.trainer import Trainer
from mnistkit.utils.clock import utc_now
from mnistkit.utils.files import FileInfo
from mnistkit.utils.markup import render, state
from mnistkit.utils.summary import Summary, SummaryTable, Text
from mnistkit.utils.text import safe
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
    summary = hostile.describe()
    log = Text(title="Log", text=text, is_folded=False)
    page = Page(render(evolve(summary, texts=(*summary.texts, log), note=text)))
    page.check()
    assert page.text.count(safe(text)) >= 14


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
    assert "last poll" not in page.text


def test_a_handle_says_that_it_may_have_gone_on() -> None:
    """The view of a run that hasn't ended says that it is as of the last poll; making it looks at nothing."""
    run = Run(InProcessCompute("there is no such folder"), record(*WAY[:3]))
    assert "As of the last poll" in run._repr_html_()


def test_attempts_are_a_table() -> None:
    """Several attempts have a row each: how it ended, how long it took, its signal; one alone has none."""
    first = Attempt(started_at=NOW, ended_at=NOW + timedelta(seconds=5), cause="killed", signal="SIGSEGV")
    second = Attempt(started_at=NOW, ended_at=NOW + timedelta(seconds=65))
    run = record("Queued", "Preparing", "Running", "Preparing", "Running", "Completed", attempts=(first, second))
    assert run.describe().table("Attempts").rows == (
        ("1", "killed", "5.0 s", "SIGSEGV", ""),
        ("2", "its end", "1:05", "", ""),
    )
    assert "Preparing (attempt 2) 1.0 s" in Page(run._repr_html_()).text
    assert "SIGSEGV" in Page(run._repr_html_()).text
    assert record(*WAY[:3], "Failed", attempts=(first,)).describe().table("Attempts").rows == ()
    assert len(record(*WAY[:3], attempts=(first,)).describe().table("Attempts").rows) == 1


def test_many_metrics_are_folded() -> None:
    """More metrics than one wants to scroll through are there to unfold."""
    few, many = (record(*WAY, points=points(**{f"m{i}": 0.5 for i in range(n)})) for n in (20, 21))
    assert ">Metrics</caption>" in few._repr_html_()
    assert ">Metrics (21)</summary>" in many._repr_html_()


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


@pytest.mark.parametrize("word", list(RunState))
def test_state_colours_are_seen_on_light_and_dark(word: RunState) -> None:
    """Each state has a colour with a contrast of at least 3:1 to white and to black (WCAG 2.2, 1.4.11)."""
    found = re.search(r"color:#(\w{6})", state(str(word)))
    assert found
    channels = [int(found[1][i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    assert 1.05 / (luminance + 0.05) >= 3
    assert (luminance + 0.05) / 0.05 >= 3


def test_an_evaluation_shows_scores_and_mistakes() -> None:
    """Accuracy with its interval, a row per class, the most frequent mistakes first, and the matrix to unfold."""
    scores = tuple(
        ClassScore(name=name, precision=0.5, recall=recall, f1=0.5, support=10)
        for name, recall in (("cat", 0.6), ("dog", 0.9))
    )
    evaluation = Evaluation(accuracy=0.75, n=20, classes=scores, confusion=((6, 4), (1, 9)), log_loss=0.5)
    summary = evaluation.describe()
    assert summary.facts["Accuracy"] == "75.00%"
    assert summary.facts["Wrong predictions"] == "5 of 20 images"
    assert summary.table("Most frequent mistakes").rows == (("cat", "dog", "4", "40.0%"), ("dog", "cat", "1", "10.0%"))
    assert summary.table("Confusion matrix").rows == (("cat", 6, 4), ("dog", 1, 9))
    Page(evaluation._repr_html_()).check()


def test_a_comparison_shows_which_is_better() -> None:
    """The result in words, the difference, both accuracies with their intervals, and the counts."""
    compared = Comparison(names=("old", "new"), both_right=80, only_first=2, only_second=15, both_wrong=3)
    summary = compared.describe()
    assert summary.facts["Result"] == str(compared)
    assert str(summary.facts["Difference"]).startswith("+13.00%")
    assert [row[:2] for row in summary.table("Accuracy").rows] == [("old", "82.00%"), ("new", "95.00%")]
    assert dict(summary.table("Test images").rows)["only new right"] == 15
    Page(compared._repr_html_()).check()


def test_notebook_and_terminal_show_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """Names and values of facts, and the titles of tables, are the same in both, in the same order."""
    output = pytest.importorskip("mnistkit.cli.output", reason="the extra 'cli' isn't installed")
    run = record(*WAY[:3], "Failed", points=points(loss=0.25), error="it broke", tags={"a": "b"}, url="/runs/1")
    model = ModelVersion(
        name="mnist", version=3, created_at=NOW, format="skops", files={"model.skops": FileInfo(12345, "ab" * 32)},
        digest="cd" * 32, metrics={"accuracy": 0.92}, run_id="run-1", versions={"numpy": "2.0"},
    )  # fmt: skip
    for value in (run, model):
        summary = value.describe()
        output.print_summary(summary)
        for shown in (capsys.readouterr().out, Page(value._repr_html_()).text):
            words = [*summary.facts, *(table.title for table in summary.tables if table.rows)]
            values = [str(value) for value in summary.facts.values()]
            assert all(value in shown for value in values)
            positions = [shown.index(word) for word in words if word not in {"Class", "Run", "Data"}]
            assert positions == sorted(positions)


def test_views_of_splits_trainers_and_lists_of_versions(tmp_path: Path) -> None:
    """A notebook shows a split with an image of each label, a trainer's parts, and versions as a table."""
    images = np.zeros((5, 4, 6), dtype=np.uint8)
    split = Split(images=images, labels=np.array([0, 2, 2, 7, 7], dtype=np.uint8))
    page = Page(split._repr_html_())
    page.check()
    assert "4 × 6 pixels" in page.text  # noqa: RUF001 - the sign for sizes
    assert [caption for caption in ("0 (1)", "2 (2)", "7 (2)") if caption not in page.text] == []
    trainer = Trainer.local(data="digits", home=tmp_path)
    page = Page(trainer._repr_html_())
    page.check()
    assert "InProcessCompute" in page.text
    assert isinstance(trainer.versions(), VersionTable)
    versions = VersionTable(
        ModelVersion(
            name="m",
            version=i,
            created_at=NOW,
            format="skops",
            files={},
            digest="0" * 64,
            metrics={"accuracy": 0.5 + i / 10},
        )
        for i in (2, 1)
    )
    page = Page(versions._repr_html_())
    page.check()
    assert [name for name in ("m:2", "m:1", "0.7", "0.6") if name not in page.text] == []
    assert versions[0].version == 2
    assert Page(VersionTable()._repr_html_()).tags


def test_words_of_tables_are_not_broken() -> None:
    """Ids, states and short settings stay in one line, also in a narrow notebook; long texts may be broken."""
    run_id, long = "20261128-200255-a1b2c3", "word " * 30
    rows = [(run_id, "LogisticRegression(C=0.1)", long)]
    table = SummaryTable(title="Runs", columns=("run", "estimator", "note"), rows=rows)
    html = render(Summary(title="Runs", tables=(table,)))
    for text, is_kept in ((run_id, True), ("LogisticRegression(C=0.1)", True), (long.strip(), False)):
        cell = html[: html.index(text)].rpartition("<t")[2]
        assert ("white-space:nowrap" in cell) == is_kept, text
