from mnistkit.dask.compute import DaskCompute as DaskCompute

__all__ = [
    "DaskCompute",
]
