from mnistkit.dask.compute import DaskCompute as DaskCompute
from mnistkit.dask.rows import DaskRows as DaskRows

__all__ = [
    "DaskCompute",
    "DaskRows",
]
