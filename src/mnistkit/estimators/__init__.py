"""Our own estimators: scikit-learn's objectives, solved faster on data shaped like MNIST."""

from mnistkit.estimators.logistic import FastLogisticRegression, RegularizationPath
from mnistkit.estimators.rows import ArrayRows, FileRows, RowBlocks

__all__ = ["ArrayRows", "FastLogisticRegression", "FileRows", "RegularizationPath", "RowBlocks"]
