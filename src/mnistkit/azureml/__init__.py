"""Azure Machine Learning, through version 1 of its SDK: data, compute and models in a workspace. Extra ``azure``."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "v1.compute": ["AmlCompute"],
        "v1.data": ["OpenDatasetsMnist"],
        "v1.registry": ["WorkspaceRegistry"],
        "v1.workspace": ["connect"],
    },
)
