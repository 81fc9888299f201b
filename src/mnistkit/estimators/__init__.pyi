from mnistkit.estimators.accurate import AccurateClassifier as AccurateClassifier
from mnistkit.estimators.gradients import OrientedGradients as OrientedGradients
from mnistkit.estimators.logistic import FastLogisticRegression as FastLogisticRegression
from mnistkit.estimators.logistic import RegularizationPath as RegularizationPath
from mnistkit.estimators.nystroem_ridge import NystroemRidgeClassifier as NystroemRidgeClassifier
from mnistkit.estimators.rows import ArrayRows as ArrayRows
from mnistkit.estimators.rows import FileRows as FileRows
from mnistkit.estimators.rows import RowBlocks as RowBlocks

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
