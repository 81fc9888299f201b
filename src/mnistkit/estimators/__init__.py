"""Estimators for data shaped like MNIST: a faster logistic regression, and an accurate classifier."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "accurate": ["AccurateClassifier"],
        "gradients": ["OrientedGradients"],
        "logistic": ["FastLogisticRegression", "RegularizationPath"],
        "nystroem_ridge": ["NystroemRidgeClassifier"],
        "rows": ["ArrayRows", "FileRows", "RowBlocks"],
    },
)
