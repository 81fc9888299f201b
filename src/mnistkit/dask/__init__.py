"""A Dask cluster as a place to run jobs: ``pip install 'mnistkit[dask]'``."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "compute": ["DaskCompute"],
    },
)
