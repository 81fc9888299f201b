"""Which of two classifiers is better, judged on one test set: McNemar's test."""

from __future__ import annotations

import math
from typing import Any

from attrs import frozen
from numpy.typing import NDArray

from mnistkit.data.dataset import Dataset
from mnistkit.data.split import Split
from mnistkit.errors import UsageError
from mnistkit.evaluation.scores import check_data, predict, quantile, wilson_interval
from mnistkit.utils.markup import render
from mnistkit.utils.summary import Summary, SummaryTable

__all__ = ["Comparison", "compare", "mcnemar"]

_ALPHA = 0.05


@frozen(kw_only=True)
class Comparison:
    """The results of two classifiers on the same images.

    Attributes:
        names: What the two are called.
        both_right: How many images both got right.
        only_first: How many only the first got right.
        only_second: How many only the second got right.
        both_wrong: How many both got wrong.
    """

    names: tuple[str, str] = ("the first", "the second")
    both_right: int
    only_first: int
    only_second: int
    both_wrong: int

    @property
    def n(self) -> int:
        """The number of images."""
        return self.both_right + self.only_first + self.only_second + self.both_wrong

    @property
    def accuracies(self) -> tuple[float, float]:
        """The share of right answers of each, 0 to 1."""
        return (self.both_right + self.only_first) / self.n, (self.both_right + self.only_second) / self.n

    @property
    def difference(self) -> float:
        """The accuracy of the second minus that of the first."""
        return (self.only_second - self.only_first) / self.n

    def intervals(self, confidence: float = 0.95) -> tuple[tuple[float, float], tuple[float, float]]:
        """The interval of each accuracy on its own; see `mnistkit.evaluation.wilson_interval`."""
        first, second = self.both_right + self.only_first, self.both_right + self.only_second
        return wilson_interval(first, self.n, confidence), wilson_interval(second, self.n, confidence)

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """The lowest and highest `difference` that go well with these answers.

        With a = (only_second + 1)/(n + 2), b = (only_first + 1)/(n + 2) and z the normal quantile it is::

            a - b ± z √((a + b - (a - b)²) / (n + 2))

        Source: D. G. Bonett and R. M. Price, "Adjusted Wald confidence interval for a difference of binomial
        proportions based on paired data", Journal of Educational and Behavioral Statistics 37 (2012), 479-488.
        The images are the same for both, so that this is much narrower than the two `intervals` suggest.
        """
        z, n = quantile(confidence), self.n + 2
        a, b = (self.only_second + 1) / n, (self.only_first + 1) / n
        half = z * math.sqrt((a + b - (a - b) ** 2) / n)
        return max(a - b - half, -1.0), min(a - b + half, 1.0)

    @property
    def p_value(self) -> float:
        """The probability of so unequal a result if the two are equally good, by the mid-p test; see `mcnemar`."""
        return mcnemar(self.only_first, self.only_second)

    @property
    def exact_p_value(self) -> float:
        """The same by the exact conditional test, which errs on the safe side."""
        return mcnemar(self.only_first, self.only_second, exact=True)

    def describe(self) -> Summary:
        """Return the two accuracies, their difference, and which of the two is better."""
        first, second = self.names
        low, high = self.interval()
        scores = zip(self.names, self.accuracies, self.intervals(), strict=True)
        counts = {
            "both right": self.both_right,
            f"only {first} right": self.only_first,
            f"only {second} right": self.only_second,
            "both wrong": self.both_wrong,
        }
        return Summary(
            title=f"Comparison of {first} and {second}",
            facts={
                "Result": str(self),
                "Difference": f"{self.difference:+.2%}, 95% interval {low:+.2%} to {high:+.2%}",
                "p": self.p_value,
            },
            tables=(
                SummaryTable(
                    title="Accuracy",
                    columns=("classifier", "accuracy#", "95% interval#"),
                    rows=[(name, f"{share:.2%}", f"{a:.2%} to {b:.2%}") for name, share, (a, b) in scores],
                ),
                SummaryTable(title="Test images", columns=("predictions", "images#"), rows=counts.items()),
            ),
        )

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return render(self.describe())

    def __str__(self) -> str:
        """Return the result in words."""
        first, second = self.names
        counts = f"Of {self.n} images, {second} alone reads {self.only_second} right, {first} alone {self.only_first}."
        if not self.only_first + self.only_second:
            return f"{counts} The two are right and wrong on the very same images."
        p = f"p = {self.p_value:.2g}" if self.p_value >= 0.0001 else "p < 0.0001"  # noqa: PLR2004 - digits for people
        if self.p_value >= _ALPHA:
            return f"{counts} That may well be chance ({p}): these images don't show which one is better."
        better, worse = (second, first) if self.difference > 0 else (first, second)
        return f"{counts} That is hardly chance ({p}): {better} is better than {worse} on such images."


def compare(
    first: Any, second: Any, data: Dataset | Split, *, names: tuple[str, str] = ("the first", "the second")
) -> Comparison:
    """Ask two fitted classifiers for the same images, and count who is right where.

    Images that took part in the training, or in the choice, of one of the two make it look better than it is.

    Args:
        first: A fitted scikit-learn classifier of ``(n, h*w)`` float32 in 0..1.
        second: Another one.
        data: A dataset, of which the test split is asked for, or a split.
        names: What the two are called.

    Raises:
        UsageError: There is no image, or a model takes images of another size.
    """
    check_data(data)
    split = data.test if isinstance(data, Dataset) else data
    a: NDArray[Any] = predict(first, split).right
    b: NDArray[Any] = predict(second, split).right
    return Comparison(
        names=names,
        both_right=int((a & b).sum()),
        only_first=int((a & ~b).sum()),
        only_second=int((~a & b).sum()),
        both_wrong=int((~a & ~b).sum()),
    )


def mcnemar(only_first: int, only_second: int, *, exact: bool = False) -> float:
    """The two-sided p-value of McNemar's test: images on which both are right, or both wrong, say nothing.

    If the two are equally good, the smaller count k of the n images on which they differ is binomial with n and 1/2.
    With F its distribution function and f its probabilities::

        exact p = min(1, 2 F(k))
        mid-p   = 2 F(k) - f(k), and 1 - f(k)/2 where the counts are equal

    Sources: Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12 (1947), 153-157; M. W. Fagerland, S. Lydersen and P. Laake, "The McNemar test for binary
    matched-pairs data: mid-p and asymptotic are better than exact conditional", BMC Medical Research Methodology 13:91
    (2013): the mid-p test kept its level in all of their 9595 cases, the exact one is too careful.

    Args:
        only_first: How many only the first got right.
        only_second: How many only the second got right.
        exact: Whether to be exact at the price of missing more real differences.

    Raises:
        UsageError: A count is below 0.
    """
    from scipy.special import bdtr, gammaln

    if min(only_first, only_second) < 0:
        raise UsageError(f"mcnemar({only_first}, {only_second}): counts are at least 0.")
    n, k = only_first + only_second, min(only_first, only_second)
    if n == 0:
        return 1.0
    tail = float(bdtr(k, n, 0.5))
    if exact:
        return min(1.0, 2 * tail)
    probability = math.exp(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1) - n * math.log(2))
    return 1 - probability / 2 if 2 * k == n else 2 * tail - probability
