from mnistkit.estimators.accurate import ACCURATE_OPTIONS as ACCURATE_OPTIONS
from mnistkit.estimators.accurate import AccurateClassifier as AccurateClassifier
from mnistkit.estimators.columns import ColumnSelector as ColumnSelector
from mnistkit.estimators.columns import with_array_selectors as with_array_selectors
from mnistkit.estimators.components import WithinClassComponents as WithinClassComponents
from mnistkit.estimators.gradients import OrientedGradients as OrientedGradients
from mnistkit.estimators.liblinear import LiblinearLogisticRegression as LiblinearLogisticRegression
from mnistkit.estimators.liblinear import with_multiclass_liblinear as with_multiclass_liblinear
from mnistkit.estimators.logistic import FastLogisticRegression as FastLogisticRegression
from mnistkit.estimators.logistic import WarmStart as WarmStart
from mnistkit.estimators.nystroem_ridge import NystroemRidgeClassifier as NystroemRidgeClassifier
from mnistkit.estimators.rows import ArrayRows as ArrayRows
from mnistkit.estimators.rows import FileRows as FileRows
from mnistkit.estimators.rows import RowBlocks as RowBlocks
from mnistkit.estimators.warm_start import new_warm_start as new_warm_start
from mnistkit.estimators.warm_start import warm_start_groups as warm_start_groups

__all__ = [
    "ACCURATE_OPTIONS",
    "AccurateClassifier",
    "ArrayRows",
    "ColumnSelector",
    "FastLogisticRegression",
    "FileRows",
    "LiblinearLogisticRegression",
    "NystroemRidgeClassifier",
    "OrientedGradients",
    "RowBlocks",
    "WarmStart",
    "WithinClassComponents",
    "new_warm_start",
    "warm_start_groups",
    "with_array_selectors",
    "with_multiclass_liblinear",
]
