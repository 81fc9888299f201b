"""What the pictures of a classifier's answers show, read from the figure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="the extra 'plot' isn't installed")

from matplotlib.colors import to_hex
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import RidgeClassifier

from mnistkit import Trainer
from mnistkit.data.dataset import Dataset
from mnistkit.errors import UnknownNameError, UsageError
from mnistkit.evaluation import run_model
from mnistkit.evaluation.scores import evaluate, predict
from mnistkit.plots import confusion, misclassified, prediction_grid, reliability
from mnistkit.plots.canvas import RED
from plots.subjects import digits, nearest_mean


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Some digits."""
    return digits()


@pytest.fixture(scope="module")
def model(dataset: Dataset) -> Any:
    """A classifier that gets about three in four of them right."""
    return nearest_mean(dataset)


def _numbers(figure: Any) -> dict[tuple[int, int], str]:
    """The texts in a matrix, by row and column."""
    return {(int(t.get_position()[1]), int(t.get_position()[0])): t.get_text() for t in figure.axes[0].texts}


def test_confusion_has_the_counts(dataset: Dataset, model: Any) -> None:
    """Each cell holds its count, rows are true classes; a cell with none is empty."""
    evaluation = evaluate(model, dataset)
    figure = confusion(evaluation)
    counts = np.array(evaluation.confusion)
    assert _numbers(figure) == {place: str(count) for place, count in np.ndenumerate(counts) if count}
    axes, scale = figure.axes
    assert np.array_equal(axes.images[0].get_array(), counts)
    assert (axes.get_ylabel(), axes.get_xlabel(), scale.get_ylabel()) == ("true class", "predicted class", "images")
    assert [label.get_text() for label in axes.get_xticklabels()] == list("0123456789")
    assert axes.get_title() == f"Confusion of 300 images, accuracy {evaluation.accuracy:.2%}"


def test_errors_are_shares_of_the_true_class(dataset: Dataset, model: Any) -> None:
    """With errors=True a cell is the percentage of its row, and the diagonal is blank however much is right."""
    evaluation = evaluate(model, dataset)
    figure = confusion(evaluation, errors=True)
    counts = np.array(evaluation.confusion, dtype=float)
    drawn = np.ma.filled(figure.axes[0].images[0].get_array(), np.nan)
    assert np.isnan(drawn.diagonal()).all()
    off = ~np.eye(10, dtype=bool)
    assert np.allclose(drawn[off], (100 * counts / counts.sum(axis=1, keepdims=True))[off])
    assert not [place for place in _numbers(figure) if place[0] == place[1]]
    assert figure.axes[0].images[0].get_clim()[1] == np.nanmax(drawn)


@pytest.mark.parametrize("errors", [False, True])
def test_numbers_stand_out_from_their_cells(dataset: Dataset, model: Any, *, errors: bool) -> None:
    """Each number has a contrast of at least 4.5 to 1 with the colour of its cell."""
    figure = confusion(evaluate(model, dataset), errors=errors)
    image = figure.axes[0].images[0]

    def luminance(colour: Any) -> float:
        red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in colour[:3])
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for text in figure.axes[0].texts:
        column, row = map(int, text.get_position())
        behind = luminance(image.cmap(image.norm(image.get_array()[row, column])))
        ink = 1.0 if text.get_color() == "white" else 0.0
        assert (max(behind, ink) + 0.05) / (min(behind, ink) + 0.05) >= 4.5


def test_many_classes_have_no_numbers() -> None:
    """With more classes than numbers fit in, the colours alone are drawn, and every class is named."""
    names = tuple(f"class {i}" for i in range(47))
    rng = np.random.default_rng(0)
    labels = np.arange(470) % 47
    from mnistkit.evaluation.scores import score

    model = DummyClassifier(strategy="uniform", random_state=0).fit(rng.random((470, 4)), labels)
    figure = confusion(score(model, rng.random((470, 4)), labels, names))
    assert not figure.axes[0].texts
    assert len(figure.axes[0].get_yticklabels()) == 47


def test_misclassified_are_the_wrong_ones(dataset: Dataset, model: Any) -> None:
    """Only wrong ones are drawn, the most confident first: inverted, in red both classes and the confidence."""
    predictions = predict(model, dataset.test)
    (wrong,) = np.nonzero(~predictions.right)
    assert predictions.confidence is not None
    order = sorted(wrong, key=lambda i: -predictions.confidence[i])
    figure = misclassified(model, dataset, n=12)
    assert len(figure.axes) == 12
    for index, axes in zip(order, figure.axes, strict=False):
        assert np.array_equal(axes.images[0].get_array(), dataset.test.images[index])
        taken, truth = predictions.predicted[index], dataset.test.labels[index]
        assert axes.get_title() == f"{truth} read as {taken}\n{predictions.confidence[index]:.0%}"
        assert axes.images[0].get_cmap().name == "gray"
        assert to_hex(axes.title.get_color()) == RED
    assert figure.get_suptitle() == f"digits: {len(wrong)} of 300 test images misclassified, the 12 most confident"


def test_no_mistake_is_a_sentence(dataset: Dataset) -> None:
    """A classifier without mistakes gets a figure that says so."""
    X = dataset.train.X()
    from sklearn.neighbors import KNeighborsClassifier

    figure = misclassified(KNeighborsClassifier(1).fit(X, dataset.train.y), dataset, split="train")
    assert not figure.axes
    assert figure.get_suptitle() == "digits: 0 of 500 train images misclassified"
    figure._repr_png_()


def test_without_probabilities_there_is_no_percentage(dataset: Dataset) -> None:
    """A classifier that gives no probabilities is drawn without, its mistakes in order."""
    model = RidgeClassifier().fit(dataset.train.X(), dataset.train.y)
    figure = misclassified(model, dataset, n=5)
    (wrong,) = np.nonzero(model.predict(dataset.test.X()) != dataset.test.y)
    assert np.array_equal(figure.axes[0].images[0].get_array(), dataset.test.images[wrong[0]])
    assert "%" not in figure.axes[0].get_title()


def test_sure_is_never_certain() -> None:
    """An answer that rounds to 100 % is written as more than 99 %."""
    from mnistkit.evaluation.scores import SplitPredictions
    from mnistkit.plots.predictions import caption

    sure = SplitPredictions(truth=np.array([1, 1]), predicted=np.array([1, 0]), confidence=np.array([0.9999, 0.994]))
    assert caption("ab", sure, 0) == "b\n>99%"
    assert caption("ab", sure, 1) == "b read as a\n99%"


def test_predictions_mix_right_and_wrong(dataset: Dataset, model: Any) -> None:
    """Randomly chosen images: the wrong ones inverted and red, the right ones dark on white; the seed decides which."""
    predictions = predict(model, dataset.test)
    chosen = np.random.default_rng(3).permutation(300)[:30]
    figure = prediction_grid(model, dataset, seed=3)
    for index, axes in zip(chosen, figure.axes, strict=True):
        is_right = predictions.right[index]
        assert np.array_equal(axes.images[0].get_array(), dataset.test.images[index])
        assert axes.images[0].get_cmap().name == ("Greys" if is_right else "gray")
        assert (to_hex(axes.title.get_color()) == RED) == (not is_right)
        assert ("read as" in axes.get_title()) == (not is_right)
    assert figure.get_suptitle() == f"digits: {predictions.right[chosen].sum()} of 30 test images right"


def test_reliability_shows_bins_with_intervals(dataset: Dataset, model: Any) -> None:
    """Points lie at mean confidence and accuracy of each bin that holds an answer, within their intervals."""
    from mnistkit.evaluation.calibration import calibrate

    found = calibrate(predict(model, dataset.test), 5)
    figure = reliability(model, dataset, bins=5)
    (axes,) = figure.axes
    points = axes.containers[-1].lines[0]
    assert list(points.get_xdata()) == pytest.approx([100 * each.confidence for each in found.bins])
    assert list(points.get_ydata()) == pytest.approx([100 * each.accuracy for each in found.bins])
    (spans,) = axes.containers[-1].lines[2]
    for each, segment in zip(found.bins, spans.get_segments(), strict=True):
        assert segment[:, 1] == pytest.approx([100 * end for end in each.interval()])
    heights = [bar.get_height() for bar in axes.containers[0]]
    assert heights == pytest.approx([100 * each.n / 300 for each in found.bins])
    assert f"{100 * found.error:.1f} points" in axes.get_title()


def test_reliability_needs_probabilities(dataset: Dataset) -> None:
    """A classifier without probabilities is refused, and what it takes is named."""
    with pytest.raises(UsageError, match="predict_proba"):
        reliability(RidgeClassifier().fit(dataset.train.X(), dataset.train.y), dataset)


@pytest.mark.parametrize("draw", [misclassified, prediction_grid])
def test_what_can_not_be_drawn_is_refused(draw: Callable[..., Any], dataset: Dataset, model: Any) -> None:
    """No images, an unknown split, no dataset for a bare classifier, images of another size: each says what to do."""
    with pytest.raises(UsageError, match="draw at least 1"):
        draw(model, dataset, n=0)
    with pytest.raises(UnknownNameError, match="'train' or 'test'"):
        draw(model, dataset, split="valid")
    with pytest.raises(UsageError, match="give the dataset as well"):
        draw(model)
    other = DummyClassifier().fit(np.zeros((2, 9)), [0, 1])
    other.n_features_in_ = 9
    with pytest.raises(UsageError, match="takes images of 9 pixels, but these have 8x8"):
        draw(other, dataset)


def test_a_run_knows_its_model_and_data() -> None:
    """A run alone is enough: its model is loaded, and its data fetched."""
    from sklearn.linear_model import LogisticRegression

    trainer = Trainer.local("digits")
    run = trainer.train(LogisticRegression(C=0.01))
    expected = misclassified(run_model(run), trainer.dataset())
    assert [a.get_title() for a in misclassified(run).axes] == [a.get_title() for a in expected.axes]
    assert len(prediction_grid(run, n=3).axes) == 3
    assert reliability(run).axes
