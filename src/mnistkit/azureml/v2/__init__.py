"""Azure Machine Learning through the SDK v2 (extra ``azure``): data, compute and models of a workspace."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "compute": ["AmlCompute"],
        "data": ["OpenDatasetsMnist"],
        "deployments": ["ManagedEndpoints"],
        "registry": ["WorkspaceRegistry"],
        "workspace": ["connect"],
    },
)
