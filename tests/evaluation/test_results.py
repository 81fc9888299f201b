"""What is read back from a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mnistkit import ScriptJob, Trainer
from mnistkit.errors import NotFoundError, UnsafeModelError
from mnistkit.evaluation.results import run_dataset, run_evaluation, run_model, run_model_file
from mnistkit.jobs.job import ModelFormat


@pytest.mark.parametrize("model_format", ["skops", "linear"])
def test_a_run_gives_back_its_model_evaluation_and_data(model_format: ModelFormat) -> None:
    """The model answers as the run measured, the evaluation is the run's own, the data has all training images."""
    trainer = Trainer.local("digits")
    run = trainer.train(LogisticRegression(C=0.01), limit=500, model_format=model_format)
    dataset = run_dataset(run)
    assert (dataset.sha256, len(dataset.train)) == (trainer.dataset().sha256, 1437)
    assert np.mean(run_model(run).predict(dataset.test.X()) == dataset.test.y) == run.metrics["accuracy"]
    assert run_evaluation(run).accuracy == run.metrics["accuracy"]


def test_a_pickle_takes_permission() -> None:
    """A run's joblib file is unpickled only if the caller says so."""
    trainer = Trainer.local("digits")
    run = trainer.train(LogisticRegression(C=0.01), model_format="joblib")
    with pytest.raises(UnsafeModelError, match="allow_pickle=True"):
        run_model(run)
    assert run_model(run, allow_pickle=True).predict(trainer.dataset().test.X()).shape == (360,)


def test_a_run_without_a_model_says_what_it_left(tmp_path: Path) -> None:
    """A script that writes no model, or several, and no evaluation: the error lists its files."""
    (tmp_path / "train.py").write_text("import mnistkit; (mnistkit.get_context().outputs / 'a.txt').write_text('a')")
    trainer = Trainer.local("digits")
    run = trainer.submit(ScriptJob(str(tmp_path))).wait()
    with pytest.raises(NotFoundError, match=r"no model; it left .*outputs/a\.txt"):
        run_model(run)
    with pytest.raises(NotFoundError, match=r"evaluation\.json"):
        run_evaluation(run)
    (tmp_path / "train.py").write_text(
        "import mnistkit; [(mnistkit.get_context().outputs / n).touch() for n in ('a.skops', 'b.pkl')]"
    )
    with pytest.raises(NotFoundError, match=r"several models .*a\.skops.*b\.pkl"):
        run_model_file(trainer.submit(ScriptJob(str(tmp_path))).wait())
