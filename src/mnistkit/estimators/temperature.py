r"""Temperature scaling: probabilities from scores, by one number.

The probabilities are the softmax of the scores divided by a temperature :math:`T` that minimizes the cross-entropy on
rows that the scores weren't fitted to: C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, *On calibration of modern
neural networks*, ICML 2017.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["fit_temperature"]

Array = NDArray[Any]

_LOG_INVERSE_BOUNDS = (-7.0, 14.0)


def fit_temperature(scores: Array, codes: Array, weights: Array) -> float:
    r"""Return the temperature that fits scores of rows that were held out.

    A row's target isn't 1 for its class but :math:`1 - \epsilon`, with :math:`\epsilon = 1 / (n + 2)` spread over all
    classes: where no row of n is wrong, the temperature doesn't become 0. It is the correction of J. Platt,
    *Probabilistic outputs for support vector machines*, 1999.

    Args:
        scores: ``(n, k)``, n at least 1.
        codes: ``(n,)`` class numbers.
        weights: ``(n,)``: how many rows each stands for.
    """
    from scipy.optimize import minimize_scalar

    S = scores.astype(np.float64)
    S -= S.max(axis=1, keepdims=True)
    smoothing = 1 / (len(S) + 2)
    targets = (1 - smoothing) * S[np.arange(len(S)), codes] + smoothing * S.mean(axis=1)

    def cross_entropy(log_inverse: float) -> float:
        inverse = np.exp(log_inverse)
        return float(weights @ (np.log(np.exp(inverse * S).sum(axis=1)) - inverse * targets))

    found = minimize_scalar(cross_entropy, bounds=_LOG_INVERSE_BOUNDS, method="bounded")
    return float(np.exp(-found.x))
