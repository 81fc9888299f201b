"""Comparisons of runs: what differs, and which of them is better."""

from __future__ import annotations

from pathlib import Path

import pytest
from sklearn.linear_model import LogisticRegression

from mnistkit.errors import RunNotFoundError, UsageError
from mnistkit.evaluation.comparison import Comparison
from mnistkit.evaluation.run_comparison import compare_runs
from mnistkit.jobs.job import ScriptJob
from mnistkit.runs.run import Run
from mnistkit.trainer.trainer import Trainer
from support.pages import HOSTILE, Page


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """A trainer whose experiment has three fits, one of them on other data."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MNISTKIT_CACHE", str(folder / "cache"))
        patch.setenv("MNISTKIT_COMPUTE", "in-process")
        trainer = Trainer.local(data="digits", experiment="demo", home=folder)
        trainer.train(LogisticRegression(C=1e-6, tol=1e-3), limit=200, tags={"which": "poor"})
        trainer.train(LogisticRegression(tol=1e-3), seed=7, tags={"which": "good"})
        trainer.submit(trainer.job(LogisticRegression(C=-1.0), tags={"which": "failed"})).wait()
    return trainer


def run_of(trainer: Trainer, which: str) -> Run:
    """The run with this tag."""
    (run,) = trainer.runs(f"tags.which == '{which}'")
    return run


def test_what_differs_is_listed(trainer: Trainer) -> None:
    """Parameters, defaults included, seed and limit are listed if they differ; what is the same is said to be."""
    poor, good = run_of(trainer, "poor"), run_of(trainer, "good")
    found = trainer.compare_runs(poor, good.id)
    values = {item.name: item.values for item in found.parameters}
    assert values == {"C": ("1e-06", "1"), "seed": ("42", "7"), "training images": ("200", "all")}
    assert found.libraries == found.data == found.code == ()
    assert "accuracy" in {item.name for item in found.metrics}
    summary = found.describe()
    assert summary.facts["The same in all"] == "data, code, libraries"
    assert summary.table("Parameters").headings == ("", poor.id[-6:], good.id[-6:])
    Page(found._repr_html_()).check()


def test_predictions_are_tested(trainer: Trainer) -> None:
    """McNemar's test compares the models on the common data; each run's accuracy is what the run itself measured."""
    poor, good = run_of(trainer, "poor"), run_of(trainer, "good")
    (test,) = trainer.compare_runs(poor, good).tests
    assert isinstance(test, Comparison)
    assert test.accuracies == pytest.approx((poor.metrics["accuracy"], good.metrics["accuracy"]))
    assert test.p_value < 0.05
    assert f"run {good.id[-6:]} is better" in str(test)
    assert trainer.compare_runs(poor, good, predictions=False).tests == ()


def test_why_there_is_no_test_is_said(trainer: Trainer) -> None:
    """A run that failed, or one on other data, has no test, and the reason is given."""
    good, failed = run_of(trainer, "good"), run_of(trainer, "failed")
    (reason,) = trainer.compare_runs(good, failed).tests
    assert reason == f"no test of their predictions: run {failed.id} is Failed."


def test_one_run_is_no_comparison(trainer: Trainer) -> None:
    """It takes two runs; an unknown id is an error."""
    good = run_of(trainer, "good")
    with pytest.raises(UsageError, match="two to 20"):
        trainer.compare_runs(good)
    with pytest.raises(RunNotFoundError):
        trainer.compare_runs(good, "unknown")


def script(trainer: Trainer, folder: Path, text: str, *arguments: str) -> Run:
    """A finished run of a script of this text."""
    folder.mkdir()
    (folder / "train.py").write_text(text, encoding="utf-8")
    (folder / "same.py").write_text("x = 1\n", encoding="utf-8")
    return trainer.submit(ScriptJob(folder, "train.py", arguments)).wait()


def test_sources_are_compared_side_by_side(trainer: Trainer, tmp_path: Path) -> None:
    """Two scripts are shown side by side where they differ, with options as parameters; equal files aren't shown."""
    old = script(trainer, tmp_path / "a", "import mnistkit\nC = 1\nprint(C)\n", "--rate", "1")
    new = script(trainer, tmp_path / "b", "import mnistkit\nC = 2\nprint(C)\nprint(C * 2)\n", "--rate", "2")
    found = trainer.compare_runs(old, new)
    assert {item.name: item.values for item in found.parameters} == {"rate": ("1", "2")}
    (diff,) = found.diffs
    assert diff.file == "train.py"
    assert diff.lines == (
        ("  import mnistkit", "  import mnistkit"),
        ("- C = 1", "+ C = 2"),
        ("  print(C)", "  print(C)"),
        ("", "+ print(C * 2)"),
    )
    table = found.describe().table(f"train.py of {old.id[-6:]} and {new.id[-6:]}")
    assert table.rows[1] == ("-\xa0C\xa0=\xa01", "+\xa0C\xa0=\xa02")


def test_hostile_sources_are_text(trainer: Trainer, tmp_path: Path) -> None:
    """Markup in a script, and in the name of a file, is shown as text; what isn't text isn't shown."""
    texts = [text for text in HOSTILE if "\ud800" not in text]
    old = script(trainer, tmp_path / "a", "".join(f"# {text}\n" for text in texts))
    new = script(trainer, tmp_path / "b", "import sys\n")
    code = Path(new.record.url, "code")
    (code / "<img src=x onerror=alert(1)>.py").write_text("1\n")
    (code / "data.bin").write_bytes(b"\xff\x00" * 100)
    (code / "link.py").symlink_to("/etc/passwd")
    found = compare_runs([old, new])
    assert {diff.file for diff in found.diffs} == {"train.py", "<img src=x onerror=alert(1)>.py"}
    page = Page(found._repr_html_())
    page.check()
    assert "onerror=alert(1)>.py" in page.text
