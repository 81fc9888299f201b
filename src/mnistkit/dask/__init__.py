"""A Dask cluster, to run jobs and to fit one model on many machines: ``pip install 'mnistkit[dask]'``."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "compute": ["DaskCompute"],
        "rows": ["DaskRows"],
        "training": ["evaluate_rows", "train_rows"],
    },
)
