"""Column selection on arrays: images are matrices of pixels, not data frames."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from sklearn.compose import make_column_selector

__all__ = ["ColumnSelector", "with_array_selectors"]

_PLAIN = "sklearn.compose.make_column_selector"
_OURS = "mnistkit.estimators.ColumnSelector"


class ColumnSelector(make_column_selector):  # type: ignore[misc]  # scikit-learn has no types
    """scikit-learn's `make_column_selector` that takes arrays as well.

    The columns of an array are named ``x0``, ``x1`` and so on, as scikit-learn names them, and all have its dtype.
    """

    def __call__(self, X: Any) -> list[Any]:
        """Return the selected columns: of an array their positions, of a data frame their names."""
        if hasattr(X, "iloc"):
            names: list[Any] = super().__call__(X)
            return names
        matches = [_matches(X.dtype, each) for each in _listed(self.dtype_include)]
        if (matches and not any(matches)) or any(_matches(X.dtype, each) for each in _listed(self.dtype_exclude)):
            return []
        return [i for i in range(X.shape[1]) if self.pattern is None or re.search(self.pattern, f"x{i}")]


def with_array_selectors(value: Any) -> Any:
    """Return the parameters of a spec, as JSON, with each `make_column_selector` replaced by a `ColumnSelector`."""
    if isinstance(value, list):
        return [with_array_selectors(item) for item in value]
    if isinstance(value, dict):
        return {key: with_array_selectors(item) for key, item in value.items()}
    return _OURS if value == _PLAIN else value


def _listed(dtypes: Any) -> list[Any]:
    return [] if dtypes is None else list(dtypes) if isinstance(dtypes, (list, tuple)) else [dtypes]


def _matches(dtype: np.dtype[Any], wanted: Any) -> bool:
    """Return True if an array's dtype is of a kind that pandas' ``select_dtypes`` takes, such as ``"number"``."""
    wanted = getattr(np, wanted, wanted) if wanted in {"number", "integer", "floating"} else wanted
    try:
        return np.issubdtype(dtype, wanted)
    except TypeError:  # a dtype of pandas alone, such as "category"
        return False
