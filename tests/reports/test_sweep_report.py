"""Reports of sweeps."""

from __future__ import annotations

from pathlib import Path

import pytest
from sklearn.linear_model import LogisticRegression

from mnistkit import Trainer
from mnistkit.reports import sweep_report
from mnistkit.sweeps.sweep import Sweep
from support.pages import Report

pytest.importorskip("jinja2", reason="the extra 'plot' isn't installed")


def test_a_sweep_has_a_report(tmp_path: Path) -> None:
    """Every run is a row, the best is shown in full, failures have their errors, and a curve is drawn."""
    pytest.importorskip("matplotlib")
    trainer = Trainer.local(data="digits", experiment="rates")
    sweep = trainer.sweep(LogisticRegression(tol=1e-3), {"C": [0.01, 1.0, -1.0]}, limit=300)
    path = trainer.report(sweep, tmp_path / "sweep.html")
    text = path.read_text(encoding="utf-8")
    page, best = Report(text), sweep.best()
    page.check()
    assert text.count('<tr class="best">') == 1
    assert f"The best run is {best.id}." in page.text
    for run in sweep:
        assert run.id in page.text
        assert (run.error or "") in page.text
    assert "2 Completed, 1 Failed" in page.text
    assert "Time of the best" in page.text
    assert f"{best.metrics['accuracy']:.2%}" in page.text
    assert "looks better than it is" in page.text
    assert any(
        alt.startswith("Accuracy against the parameters. The best, ringed") for alt in page.attributes("img", "alt")
    )
    assert max(page.levels()) == 3


def test_a_sweep_without_any_success_has_a_report() -> None:
    """Where no run has completed the report is of the failures."""
    trainer = Trainer.local(data="digits", experiment="bad")
    sweep = trainer.sweep(LogisticRegression(), {"C": [-1.0, -2.0]}, limit=100)
    page = Report(sweep_report(sweep))
    page.check()
    assert "No run of it has completed with an accuracy." in page.text
    assert "2 Failed" in page.text
    Report(sweep_report(Sweep("empty", []))).check()


def test_a_sweep_of_the_defaults_alone_has_a_report() -> None:
    """A sweep without parameters is a table of its run; the figure is missing, and it says why."""
    sweep = Trainer.local(data="digits", experiment="plain").sweep(LogisticRegression(tol=0.1), {}, limit=100)
    page = Report(sweep_report(sweep))
    page.check()
    assert "Missing: a figure. The sweep tried no parameter" in page.text or "needs matplotlib" in page.text
    assert sweep[0].id in page.text


def test_halving_is_shown_with_its_rungs() -> None:
    """A sweep that gave up early has its rungs in the table, and a second curve."""
    pytest.importorskip("matplotlib")
    from mnistkit import Halving

    trainer = Trainer.local(data="digits", experiment="halved")
    grid = {"C": [0.001, 0.1, 1.0]}
    sweep = trainer.sweep(LogisticRegression(tol=0.1), grid, halving=Halving(factor=3, min_limit=100), limit=300)
    page = Report(sweep_report(sweep))
    page.check()
    assert "rung" in page.text
    assert f"{sweep.best().metrics['accuracy']:.2%}. The others" not in page.text  # the curve is of the last rung
    assert [alt for alt in page.attributes("img", "alt") if alt.startswith("Accuracy on ever more training images")]
