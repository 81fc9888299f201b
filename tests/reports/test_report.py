"""Reports of runs and sweeps: what is in them, what is missing, and that nothing in them runs."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from datetime import timedelta
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression

from mnistkit import Run, RunRecord, ScriptJob, Trainer, TrainingJob, load_dataset
from mnistkit.data.idx import write_idx
from mnistkit.errors import MissingExtraError, StorageError
from mnistkit.evaluation.results import run_evaluation, run_model
from mnistkit.evaluation.scores import predict
from mnistkit.jobs.job import DATA_FOLDER
from mnistkit.jobs.provenance import Provenance
from mnistkit.jobs.spec import ModelSpec
from mnistkit.local.threads import InProcessCompute
from mnistkit.reports import default_name, run_report, sweep_report, write_report
from mnistkit.reports.page import _environment
from mnistkit.reports.reproduce import program
from mnistkit.runs.record import Attempt, MetricPoint, RunState, Transition
from mnistkit.sweeps.sweep import Sweep, Trial
from mnistkit.testing import write_tiny_mnist
from mnistkit.utils.clock import utc_now
from mnistkit.utils.text import safe
from support.pages import HOSTILE, Report

pytest.importorskip("jinja2", reason="the extra 'plot' isn't installed")

NOW = utc_now() - timedelta(seconds=100)


def record(*states: str, **rest: object) -> RunRecord:
    """A run that entered a state a second."""
    transitions = tuple(Transition(RunState(name), NOW + timedelta(seconds=i)) for i, name in enumerate(states))
    job = TrainingJob(model=ModelSpec("sklearn.svm.SVC"))
    values = {"id": "run-1", "job": job, "data": "digits", "transitions": transitions, **rest}
    return RunRecord(**values)  # type: ignore[arg-type]


def handle(of: RunRecord) -> Run:
    """A handle on a run of which nothing but the record is left."""
    return Run(InProcessCompute("there is no such folder"), of)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a run on the digits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MNISTKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("MNISTKIT_COMPUTE", "in-process")
        folder = tmp_path_factory.mktemp("home")
        Trainer.local(data="digits", home=folder).train(LogisticRegression(C=0.01, tol=1e-3), tags={"who": "tester"})
        return folder


@pytest.fixture
def run(home: Path) -> Run:
    """The run on the digits."""
    return Trainer.local(data="digits", home=home).runs()[0]


def test_a_report_says_what_was_run_and_how_well(run: Run) -> None:
    """Job, data, seed, tags, accuracy with its interval, each class's scores, versions: all is there."""
    pytest.importorskip("matplotlib")
    page, evaluation = Report(run_report(run)), run_evaluation(run)
    page.check()
    low, high = evaluation.interval()
    for words in (
        f"Run {run.id}", "Completed", "LogisticRegression(C=0.01, tol=0.001)", "42", "who=tester", "digits",
        f"{evaluation.accuracy:.2%}", f"{low:.2%} to {high:.2%}", f"{evaluation.classes[3].recall:.1%}",
        "1,437 to train on, 360 to test on", load_dataset("digits").sha256, "log loss", "Running", "scikit-learn",
        *(str(count) for count in evaluation.confusion[8]),
    ):  # fmt: skip
        assert words in page.text
    assert "Missing" not in page.text


def test_misclassified_images_are_those_of_the_model(run: Run) -> None:
    """Each mistake is there once, the surest first, with its true and its predicted class."""
    dataset = load_dataset("digits")
    predictions = predict(run_model(run), dataset.test)
    wrong = np.nonzero(~predictions.right)[0]
    assert 5 < len(wrong) < 40
    assert predictions.confidence is not None
    page = Report(run_report(run))
    alts = [alt for alt in page.attributes("img", "alt") if alt.startswith("Test image")]
    assert sorted(alts) == sorted(
        f"Test image {i}, light on black: it is {truth}, and was predicted to be {predicted}"
        for i, truth, predicted in zip(wrong, predictions.truth[wrong], predictions.predicted[wrong], strict=True)
    )
    surest = wrong[np.argmax(predictions.confidence[wrong])]
    assert f"Test image {surest}," in alts[0]
    assert f"{len(wrong)} of the 360 test images are misclassified" in page.text
    assert f"{predictions.truth[surest]} read as {predictions.predicted[surest]}" in page.text


def test_samples_say_what_they_show(run: Run) -> None:
    """Thirty training images are shown, each with its class as a caption and in its alternative text."""
    dataset = load_dataset("digits")
    alts = [alt for alt in Report(run_report(run)).attributes("img", "alt") if alt.startswith("Training image")]
    assert len(alts) == 30
    for alt in alts:
        index, label = int(alt.split()[2].rstrip(",")), alt.rpartition(" ")[2]
        assert str(dataset.train.labels[index]) == label


def test_the_page_is_accessible(run: Run) -> None:
    """One h1, no heading level is skipped, a language, a skip link, headed tables with captions, texts for pictures."""
    text = run_report(run)
    page = Report(text)
    levels = page.levels()
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert page.attributes("html", "lang") == ["en"]
    assert page.attributes("a", "href")[0] == "#main"
    assert all(page.attributes("img", "alt"))
    assert text.count("<table") == text.count("<caption") == text.count("<thead")
    assert all(scope in {"row", "col"} for scope in page.attributes("th", "scope"))
    assert all(tag != "img" or {"alt", "src"} <= attributes.keys() for tag, attributes in page.tags)


def test_the_file_stands_alone_and_is_small(run: Run) -> None:
    """Nothing is loaded: no script, no address but those of data, a policy that forbids the rest; below 150 kB."""
    text = run_report(run)
    assert "<script" not in text
    assert "default-src &#x27;none&#x27;" in text or "default-src 'none'" in text
    assert "http" not in text.replace("http-equiv", "")
    assert len(text.encode()) < 150_000


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_of_a_run_becomes_markup(text: str) -> None:
    """Ids, jobs, tags, metrics, files, errors, tracebacks, versions, commands and addresses are shown as text."""
    attempt = Attempt(started_at=NOW, ended_at=NOW, cause="error", error=text, signal=text)
    origin = Provenance(
        commit=text, is_dirty=True, platform=text, command=(text, text), versions={text: text, "python": text}
    )
    hostile = record(
        "Queued", "Running", "Failed", id=text, job=ScriptJob(text, "train.py", (text,)), data=text,
        points=(MetricPoint(text, 1.0, None, NOW),), files=(text,), tags={text: text}, error=text, traceback=text,
        attempts=(attempt, attempt), url=text, versions={text: text}, provenance=origin,
    )  # fmt: skip
    page = Report(run_report(handle(hostile)))
    page.check()
    assert page.text.count(safe(text)) >= 10
    sweep = Sweep(text, [Trial(params={text: text, "C": 1}, run=handle(hostile))])
    other = Report(sweep_report(sweep))
    other.check()
    assert safe(text) in other.text


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_of_the_data_becomes_markup(text: str, tmp_path: Path) -> None:
    """A dataset's name, its classes, and what they are taken for are shown as text, in alternative texts too."""
    from mnistkit.data.manifest import DatasetManifest

    names = ("plain", text.encode("utf-8", "replace").decode())
    images = np.random.default_rng(0).integers(0, 256, (60, 4, 4), dtype=np.uint8)
    for part in ("train", "t10k"):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte", images)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte", np.arange(60, dtype=np.uint8) % 2)
    DatasetManifest(name=names[1], class_names=names).write(tmp_path)
    trained = Trainer.local(data=f"idx:{tmp_path}").train(DummyClassifier())
    page = Report(run_report(trained))
    page.check()
    assert page.text.count(safe(names[1])) >= 3
    assert any(safe(names[1]) in alt for alt in page.attributes("img", "alt"))


def test_data_that_is_gone_is_said_to_be_missing(tmp_path: Path) -> None:
    """Without the data there are no images, and it says why; what the run itself noted is there."""
    folder = write_tiny_mnist(tmp_path / "mine")
    run = Trainer.local(data=f"idx:{folder}").train(LogisticRegression(tol=0.1))
    shutil.rmtree(folder)
    page = Report(run_report(run))
    page.check()
    assert f"Missing: the data idx:{folder}." in page.text
    assert "is not a folder" in page.text
    assert "Missing: the misclassified images." in page.text
    assert f"{run_evaluation(run).accuracy:.2%}" in page.text


def test_data_that_has_changed_is_remarked_on(tmp_path: Path) -> None:
    """Other test images than those of the run: the report says so, and how its model does on them."""
    folder = write_tiny_mnist(tmp_path / "mine")
    run = Trainer.local(data=f"idx:{folder}").train(LogisticRegression(tol=1e-3))
    assert "has changed" not in run_report(run)
    images = folder / "t10k-images-idx3-ubyte.gz"
    write_idx(images, np.zeros((100, 28, 28), dtype=np.uint8))
    text = unescape(run_report(run))
    assert "The data has changed since the run" in text
    assert "Now the model predicts" in text


def test_data_with_fewer_classes_is_no_stumbling_block(tmp_path: Path) -> None:
    """Where the data has lost classes that the model answers with, the mistakes are missing, the rest is there."""
    folder = write_tiny_mnist(tmp_path / "mine")
    run = Trainer.local(data=f"idx:{folder}").train(LogisticRegression(tol=1e-3))
    for part, n in (("train", 300), ("t10k", 100)):
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", np.zeros(n, dtype=np.uint8))
    page = Report(run_report(run))
    page.check()
    assert "Missing: the misclassified images. The model predicts classes that the data doesn't have." in page.text
    assert "Each class" in page.text


GOOD = '{"name": "a", "precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 2}'


@pytest.mark.parametrize(
    "text",
    [
        '{"accuracy": NaN, "n": 2, "classes": [CLASS], "confusion": [[2]]}',
        '{"accuracy": 7.0, "n": 2, "classes": [CLASS], "confusion": [[2]]}',
        '{"accuracy": 1.0, "n": 0, "classes": [], "confusion": []}',
        '{"accuracy": 1.0, "n": 2, "classes": [CLASS], "confusion": [[1, 1]]}',
        '{"accuracy": 1.0, "n": 2, "classes": [CLASS], "confusion": []}',
        '{"accuracy": 1.0, "n": 2, "classes": [CLASS, CLASS], "confusion": [[3, -1], [2, 0]]}',
        '{"accuracy": 1.0, "n": 9999999, "classes": [CLASS], "confusion": [[2]]}',
        '{"accuracy": "x"}',
        "not JSON",
    ],
)
def test_an_evaluation_that_cannot_be_is_missing(text: str, home: Path, tmp_path: Path) -> None:
    """A run may have written anything as its evaluation: that is no reason not to have a report."""
    shutil.copytree(home, tmp_path / "home")
    run = Trainer.local(data="digits", home=tmp_path / "home").runs()[0]
    [file] = (tmp_path / "home").rglob("evaluation.json")
    file.write_text(text.replace("CLASS", GOOD))
    page = Report(run_report(run))
    page.check()
    assert "Missing: the scores of each class." in page.text
    assert "evaluation.json" in page.text


@pytest.mark.parametrize("value", [float("inf"), float("nan"), -1.0, 1e300])
def test_any_metric_can_be_shown(value: float) -> None:
    """Metrics that can't be what they are called have a report as well."""
    points = tuple(MetricPoint(name, value, None, NOW) for name in ("training seconds", "accuracy", "log loss"))
    ended = handle(record("Queued", "Running", "Completed", points=points))
    Report(run_report(ended)).check()
    Report(sweep_report(Sweep("odd", [Trial(params={"C": value}, run=ended)] * 2))).check()


def test_a_pickle_is_not_loaded(tmp_path: Path) -> None:
    """Of a run whose model is a pickle no image is asked for, and it says that it could run code."""
    run = Trainer.local(data="digits").train(DummyClassifier(), model_format="joblib")
    page = Report(run_report(run))
    page.check()
    assert "Missing: the misclassified images." in page.text
    assert "loading it runs any code in it" in page.text


def test_a_script_that_failed_has_a_report(tmp_path: Path) -> None:
    """It has the error, the end of the log, the pictures that it left, no secrets, and says what is missing."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "train.py").write_text(
        "import mnistkit, numpy\n"
        "context = mnistkit.get_context()\n"
        "context.log_image('noise', numpy.zeros((3, 5), dtype='uint8'))\n"
        "(context.outputs / 'fake.png').write_text('<script>alert(1)</script>')\n"
        "print('about to <fail>')\n"
        "raise ValueError('no <luck>')\n"
    )
    pytest.importorskip("PIL", reason="the script writes a picture")
    trainer = Trainer.local(data="digits")
    arguments = ("--data", DATA_FOLDER, "--password", "hunter2-hunter2")
    run = trainer.submit(ScriptJob(str(tmp_path / "code"), "train.py", arguments)).wait()
    text = run_report(run)
    page = Report(text)
    page.check()
    for words in (
        "is Failed", "no <luck>", "about to <fail>", "--password '***'", "train.py", "Missing: metrics",
        "Missing: the scores of each class", "which left no outputs/evaluation.json",
    ):  # fmt: skip
        assert words in page.text
    assert "hunter2" not in text
    assert [alt for alt in page.attributes("img", "alt") if "outputs/noise.png" in alt]
    assert not [alt for alt in page.attributes("img", "alt") if "fake" in alt]


@pytest.mark.parametrize("states", [("Queued",), ("Queued", "Running"), ("Queued", "Canceled"), ("Queued", "Failed")])
def test_a_run_that_has_not_completed_has_a_report(states: tuple[str, ...]) -> None:
    """Whatever its state, a run has a report that says the state and what there isn't."""
    page = Report(run_report(handle(record(*states, error="it broke" if states[-1] == "Failed" else None))))
    page.check()
    assert f"The run is {states[-1]}" in page.text
    assert "Missing: metrics" in page.text
    assert "Missing: the misclassified images" in page.text


def test_the_program_in_it_makes_the_run_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the report says to run, run, gives the same accuracy."""
    text = program(run.record)
    assert text in unescape(run_report(run))
    namespace: dict[str, Run] = {}
    exec(text, namespace)  # noqa: S102 - running it is the point
    assert namespace["run"].metrics["accuracy"] == run.metrics["accuracy"]
    assert namespace["run"].record.job.model == run.record.job.model


def test_a_pipeline_can_be_reproduced() -> None:
    """Nested estimators and parameters that JSON can't say are written so that Python reads them."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    trainer = Trainer.local(data="digits", experiment="nested")
    first = trainer.train(
        make_pipeline(StandardScaler(), LogisticRegression(tol=0.1, class_weight={1: 2.0})), limit=200
    )
    namespace: dict[str, Run] = {}
    exec(program(first.record), namespace)  # noqa: S102 - running it is the point
    assert namespace["run"].record.job == first.record.job
    assert namespace["run"].metrics["accuracy"] == first.metrics["accuracy"]


def test_where_it_came_from_is_told(run: Run) -> None:
    """Commit, changes, platform and the command line are there, the last without secrets and folders."""
    origin = Provenance(
        commit="ab" * 20, is_dirty=True, platform="Linux-9", versions={"numpy": "1.0"},
        command=("/home/me/bin/mnistkit", "train", "--token", "abc"),
    )  # fmt: skip
    text = Report(run_report(handle(record("Queued", "Completed", provenance=origin, versions={"numpy": "2.0"})))).text
    for words in ("git checkout " + "ab" * 20, "changes that aren't in", "Linux-9", "mnistkit train --token '***'"):
        assert words in text
    assert "It was submitted with numpy 1.0." in text
    assert "pip install numpy==2.0" in text
    assert "/home/me" not in text


def test_without_matplotlib_only_the_figures_are_missing(home: Path, tmp_path: Path) -> None:
    """Without matplotlib there are images and tables all the same, and it says how to get the figures."""
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from mnistkit import Trainer\n"
        "trainer = Trainer.local(data='digits', home=sys.argv[1])\n"
        "print(trainer.report(trainer.runs()[0], sys.argv[2]))\n"
    )
    path = tmp_path / "report.html"
    subprocess.run([sys.executable, "-c", code, str(home), str(path)], check=True, timeout=120)
    page = Report(path.read_text(encoding="utf-8"))
    page.check()
    assert "Missing: a figure." in page.text
    assert "pip install 'mnistkit[plot]'" in page.text
    assert len(page.attributes("img", "alt")) > 30


def test_without_jinja_it_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report needs Jinja: the error names the extra that has it."""
    _environment.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r"mnistkit\[plot\]"):
        run_report(run)


def test_secrets_are_masked_wherever_a_run_has_them() -> None:
    """A password in an argument, a tag, an error, an attempt's error, a traceback or an address isn't in the page."""
    text = "https://me:hunter2-hunter2@example.org/?sig=hunter2-hunter2"
    attempt = Attempt(started_at=NOW, ended_at=NOW, cause="error", error=text)
    ended = record(
        "Queued", "Failed", job=ScriptJob("code", "train.py", ("--password", "hunter2-hunter2 it's", text)), data=text,
        tags={"a": text}, error=text, traceback=text, attempts=(attempt, attempt), url=text,
    )  # fmt: skip
    assert "hunter2" not in run_report(handle(ended))


def test_the_file_is_named_after_the_run(run: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a path it is report-ID.html here; a file that is there is replaced, one that can't be is an error."""
    monkeypatch.chdir(tmp_path)
    trainer = Trainer.local(data="digits", home=home)
    for _ in range(2):
        assert trainer.report(run) == Path(f"report-{run.id}.html")
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".html"] == [f"report-{run.id}.html"]
    with pytest.raises(StorageError, match="can't be written"):
        trainer.report(run, tmp_path / "nowhere" / "report.html")


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "\0", "x" * 500, "", "ü", "con\ud800"])
def test_no_name_leads_elsewhere(name: str, tmp_path: Path) -> None:
    """Whatever a run or a sweep is called, the default file is one that can be written in the working directory."""
    path = write_report("<p>\ud800", tmp_path / default_name(name))
    assert path.parent == tmp_path
    assert path.read_text(encoding="utf-8")
    assert os.sep not in default_name(name)
