"""Estimators for data shaped like MNIST: a faster logistic regression, and an accurate classifier."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "columns": ["ColumnSelector", "with_array_selectors"],
        "liblinear": ["LiblinearLogisticRegression", "with_multiclass_liblinear"],
        "logistic": ["FastLogisticRegression", "WarmStart"],
        "accurate": ["ACCURATE_OPTIONS", "AccurateClassifier"],
        "components": ["WithinClassComponents"],
        "gradients": ["OrientedGradients"],
        "nystroem_ridge": ["NystroemRidgeClassifier"],
        "rows": ["ArrayRows", "FileRows", "RowBlocks"],
        "warm_start": ["new_warm_start", "warm_start_groups"],
    },
)
