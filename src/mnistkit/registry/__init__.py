"""Registered models: versions, references, aliases, and the interface of registries."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "deployment": ["DeploymentRecord", "DeploymentState", "DeploymentTarget", "SupportsDeployment"],
        "export": ["export_model"],
        "info": ["ModelInfo"],
        "loading": ["load_model"],
        "promotion": ["promote", "resolve_model", "rollback"],
        "registry": ["ModelRegistry", "SupportsRunFiles"],
        "search": ["search_models"],
        "signing": ["SupportsSignatures"],
        "table": ["VersionTable"],
        "verification": [
            "Problem",
            "SupportsInspect",
            "SupportsNumbers",
            "Verification",
            "verify_models",
            "version_numbers",
        ],
        "version": ["Assignment", "ModelRef", "ModelVersion"],
    },
)
