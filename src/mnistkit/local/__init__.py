"""The embedded defaults: compute and models on this machine."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "deployments": ["LocalDeployments"],
        "processes.compute": ["ProcessCompute"],
        "registry.registry": ["FolderRegistry"],
        "threads": ["InProcessCompute"],
    },
)
