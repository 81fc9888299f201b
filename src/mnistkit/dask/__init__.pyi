from mnistkit.dask.compute import DaskCompute as DaskCompute
from mnistkit.dask.rows import DaskRows as DaskRows
from mnistkit.dask.training import evaluate_rows as evaluate_rows
from mnistkit.dask.training import train_rows as train_rows

__all__ = [
    "DaskCompute",
    "DaskRows",
    "evaluate_rows",
    "train_rows",
]
