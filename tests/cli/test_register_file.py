"""``mnistkit models register`` with a model file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import pytest
from sklearn.naive_bayes import GaussianNB

from mnistkit import save_model
from mnistkit.trainer import Trainer

Program = Callable[..., Any]


@pytest.fixture
def fitted() -> GaussianNB:
    """A classifier of digits."""
    split = Trainer.local(data="digits").dataset().train
    return GaussianNB(var_smoothing=1e-3).fit(split.X(), split.y)


def test_a_file_is_evaluated_and_registered(mnistkit: Program, fitted: GaussianNB) -> None:
    """A model file becomes a version with the scores on --data, and its tags."""
    path = save_model(fitted, "mine")
    outcome = mnistkit("models", "register", path, "digits", "--data", "digits", "--tag", "by=hand")
    assert outcome.out == "digits\tdigits:1\t1\n"
    version = Trainer.local().models.get("digits")
    assert (version.tags, version.run_id) == ({"by": "hand"}, None)
    assert version.metrics["accuracy"] > 0.7


def test_a_pickle_needs_a_word(mnistkit: Program, fitted: GaussianNB) -> None:
    """A joblib file is refused unless --allow-pickle is given; a file that isn't there is named."""
    joblib.dump(fitted, "mine.joblib")
    arguments = ("models", "register", "mine.joblib", "digits", "--data", "digits")
    assert "--allow-pickle" in mnistkit(*arguments, code=1).err
    assert mnistkit(*arguments, "--allow-pickle").out == "digits\tdigits:1\t1\n"
    assert str(Path("gone.skops")) in mnistkit("models", "register", "gone.skops", "digits", code=1).err
