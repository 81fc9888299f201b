"""What the pictures of weights show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="the extra 'plot' isn't installed")

from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mnistkit import Trainer
from mnistkit.errors import UsageError
from mnistkit.plots import weights
from plots.subjects import digits, nearest_mean


def _images(figure: Any) -> list[np.ndarray]:
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


def test_each_class_has_its_weights() -> None:
    """The picture of a class has the coefficients of its pixels, red for it and blue against, on one scale around 0."""
    dataset = digits(tuple("abcdefghij"))
    model = nearest_mean(dataset)
    figure = weights(model, dataset)
    *images, scale = figure.axes
    assert [axes.get_title() for axes in images] == list("abcdefghij")
    for row, axes in zip(model.coef_, images, strict=True):
        assert np.allclose(axes.images[0].get_array(), row.reshape(8, 8))
        low, high = axes.images[0].get_clim()
        assert low == -high
        red, _, blue, _ = axes.images[0].cmap(axes.images[0].norm(high))
        assert red > blue
    assert len({axes.images[0].get_clim() for axes in images}) == 1
    assert scale.get_ylabel() == "weight"
    assert figure.get_suptitle() == "What speaks for each class (red) and against it (blue)"


def test_scalers_are_taken_into_account() -> None:
    """The weights of a pipeline are those of the pixels: a step in a pixel moves the margin by its weight."""
    dataset = digits()
    X, y = dataset.train.X(np.float64), dataset.train.y
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)).fit(X, y)
    drawn = _images(weights(model, dataset))
    step = np.zeros((1, 64))
    step[0, 20] = 0.5
    moved = model.decision_function(step) - model.decision_function(np.zeros((1, 64)))
    assert np.allclose(moved[0], [0.5 * image.ravel()[20] for image in drawn])


def test_two_classes_are_one_picture() -> None:
    """With two classes there is one picture: of the second against the first."""
    X, y = digits().train.X(), digits().train.y
    figure = weights(LogisticRegression(max_iter=500).fit(X[y < 2], y[y < 2]))
    assert [axes.get_title() for axes in figure.axes if axes.images] == ["1 against 0"]


def test_what_is_not_linear_is_refused() -> None:
    """A forest has no weight for a pixel: the error says so, and names what has."""
    X, y = digits().train.X(), digits().train.y
    forest = RandomForestClassifier(2, random_state=0).fit(X, y)
    with pytest.raises(UsageError, match=r"RandomForestClassifier isn't linear\. Use LogisticRegression"):
        weights(forest)


def test_the_shape_has_to_be_known() -> None:
    """Without a dataset images are taken to be square; if they can't be, or the dataset's differ, that is said."""
    model = LogisticRegression(max_iter=500).fit(np.eye(6), np.arange(6) % 3)
    with pytest.raises(UsageError, match="6 pixels, which is no square"):
        weights(model)
    with pytest.raises(UsageError, match="6 pixels, but images of digits have 8x8"):
        weights(model, digits())


def test_a_run_says_what_its_classes_are_called(tmp_path: Any) -> None:
    """The weights of a run are drawn without its data: its evaluation has the names."""
    run = Trainer.local("digits").train(LogisticRegression(C=0.01))
    assert [axes.get_title() for axes in weights(run).axes if axes.images] == list("0123456789")
