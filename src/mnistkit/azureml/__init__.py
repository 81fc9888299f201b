"""Azure Machine Learning through the SDK v1 (extra ``azure-v1``): data, compute and models of a workspace."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "v1.compute": ["AmlCompute"],
        "v1.data": ["OpenDatasetsMnist"],
        "v1.deployments": ["AciDeployments"],
        "v1.registry": ["WorkspaceRegistry"],
        "v1.workspace": ["connect"],
    },
)
