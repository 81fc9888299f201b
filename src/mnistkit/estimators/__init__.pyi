from mnistkit.estimators.logistic import FastLogisticRegression as FastLogisticRegression
from mnistkit.estimators.logistic import RegularizationPath as RegularizationPath
from mnistkit.estimators.rows import ArrayRows as ArrayRows
from mnistkit.estimators.rows import FileRows as FileRows
from mnistkit.estimators.rows import RowBlocks as RowBlocks

__all__ = ["ArrayRows", "FastLogisticRegression", "FileRows", "RegularizationPath", "RowBlocks"]
