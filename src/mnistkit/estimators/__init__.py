"""Estimators for data shaped like MNIST: a faster logistic regression, and an accurate classifier."""

from mnistkit.estimators.accurate import AccurateClassifier
from mnistkit.estimators.gradients import OrientedGradients
from mnistkit.estimators.logistic import FastLogisticRegression, RegularizationPath
from mnistkit.estimators.nystroem_ridge import NystroemRidgeClassifier
from mnistkit.estimators.rows import ArrayRows, FileRows, RowBlocks

__all__ = [
    "AccurateClassifier",
    "ArrayRows",
    "FastLogisticRegression",
    "FileRows",
    "NystroemRidgeClassifier",
    "OrientedGradients",
    "RegularizationPath",
    "RowBlocks",
]
