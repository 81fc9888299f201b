"""Comparing two classifiers on one test set: against published figures, scipy, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, binomtest
from sklearn.linear_model import LogisticRegression

from mnistkit import Trainer
from mnistkit.data.dataset import Dataset
from mnistkit.errors import UsageError
from mnistkit.evaluation.comparison import Comparison, compare, mcnemar
from mnistkit.interfaces import DataSource
from mnistkit.utils.serialization import from_json, to_json


def test_a_published_example() -> None:
    """Bentur et al. (2009) as Fagerland et al. have it: 1 and 7 of 21; exact 0.0703, mid-p 0.0391, -0.508 to -0.013."""
    found = Comparison(both_right=1, only_first=1, only_second=7, both_wrong=12)
    assert found.exact_p_value == pytest.approx(0.0703, abs=5e-5)
    assert found.p_value == pytest.approx(0.0391, abs=5e-5)
    assert found.interval() == pytest.approx((0.013, 0.508), abs=5e-4)
    assert found.difference == pytest.approx(6 / 21)


@pytest.mark.parametrize(("first", "second"), [(0, 1), (0, 9), (3, 3), (12, 30), (30, 12), (200, 240), (4000, 4300)])
def test_p_values_are_scipys(first: int, second: int) -> None:
    """The exact p-value is that of scipy's binomial test, the mid-p value lower by what Fagerland et al. say."""
    n = first + second
    exact = binomtest(first, n).pvalue
    assert mcnemar(first, second, exact=True) == pytest.approx(exact, rel=1e-9)
    less = binom.pmf(first, n, 0.5) * (0.5 if first == second else 1)
    assert mcnemar(first, second) == pytest.approx(exact - less, rel=1e-6)
    assert mcnemar(first, second) == mcnemar(second, first)


def test_no_difference_is_no_evidence() -> None:
    """Two that agree everywhere have p = 1; a count below 0 is refused."""
    assert mcnemar(0, 0) == mcnemar(0, 0, exact=True) == 1
    with pytest.raises(UsageError, match="counts are at least 0"):
        mcnemar(-1, 3)


def test_false_alarms_are_as_rare_as_they_should_be() -> None:
    """If two classifiers are equally good, p falls below 0.05 in about 5 of 100 samples, and not in more than that."""
    rng = np.random.default_rng(0)
    p = [mcnemar(int(k), 40 - int(k)) for k in rng.binomial(40, 0.5, 3000)]
    assert 0.02 <= np.mean(np.array(p) < 0.05) <= 0.06


@pytest.fixture(scope="module")
def dataset(tiny_mnist: DataSource, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The tiny MNIST."""
    return Dataset.from_folder(tiny_mnist.fetch(tmp_path_factory.mktemp("data")))


def test_counts_are_those_of_the_answers(dataset: Dataset) -> None:
    """Each image counts as right for both, one or none; the accuracies are the classifiers' own scores."""
    (X, y), (X_test, y_test) = dataset.as_sklearn()
    good = LogisticRegression(max_iter=200).fit(X, y)
    poor = LogisticRegression(max_iter=200).fit(X[:40], y[:40])
    found = compare(poor, good, dataset, names=("poor", "good"))
    assert found.n == len(y_test)
    assert found.accuracies == pytest.approx((poor.score(X_test, y_test), good.score(X_test, y_test)))
    assert found.only_second == ((good.predict(X_test) == y_test) & (poor.predict(X_test) != y_test)).sum()
    low, high = found.interval()
    assert low < found.difference < high
    assert found.intervals()[0][1] < found.intervals()[1][0]
    assert "good is better than poor" in str(found)
    assert compare(good, poor, dataset.test).difference == pytest.approx(-found.difference)


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (30, 5, "p < 0.0001): A is better than B"),
        (5, 30, "p < 0.0001): B is better than A"),
        (5, 9, "may well be chance (p = 0.3): these images don't show which one is better"),
        (0, 0, "right and wrong on the very same images"),
    ],
)
def test_the_result_in_words(first: int, second: int, words: str) -> None:
    """The words name the better one only if the difference is hardly chance."""
    found = Comparison(names=("A", "B"), both_right=80, only_first=first, only_second=second, both_wrong=1)
    assert words in str(found)
    assert str(found).startswith(f"Of {found.n} images, B alone reads {second} right, A alone {first}.")


def test_a_comparison_comes_back_the_same() -> None:
    """A comparison is the same after a trip through JSON."""
    found = Comparison(names=("A", "B"), both_right=8, only_first=1, only_second=2, both_wrong=1)
    assert from_json(to_json(found), Comparison, "comparison.json") == found


def test_a_trainer_compares_runs_versions_and_classifiers() -> None:
    """A trainer takes runs, references, versions and classifiers alike, and calls them by their names."""
    trainer = Trainer.local("digits")
    run = trainer.train(LogisticRegression(C=0.01, max_iter=200))
    version = trainer.register(run, "digits")
    (X, y), _ = trainer.dataset().as_sklearn()
    found = trainer.compare(run, LogisticRegression(C=1e-5, max_iter=200).fit(X, y))
    assert found.names == (f"run {run.id}", "the second")
    assert found.accuracies[0] == pytest.approx(run.metrics["accuracy"])
    same = trainer.compare("digits", version)
    assert same.names == ("digits:1", "digits:1")
    assert same.only_first == same.only_second == 0
    for model in (run, version, "digits:1"):
        assert trainer.evaluate(model).accuracy == pytest.approx(run.metrics["accuracy"])
    assert trainer.evaluate(run, trainer.dataset().train).n == 1437
