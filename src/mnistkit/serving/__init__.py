"""A registered model behind HTTP. Needs the extra ``serve``."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "deployment": ["Deployment", "deploy_model"],
        "limits": ["ServerLimits"],
        "package": ["PackageRegistry", "PackagedModel"],
        "packaging": ["package_model"],
        "server": ["ModelServer"],
    },
)
