"""Registered models: versions, references, aliases, and the interface of registries."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "export": ["export_model"],
        "loading": ["load_model"],
        "promotion": ["promote", "resolve_model", "rollback"],
        "registry": ["ModelRegistry", "RegistersRuns"],
        "search": ["search_models"],
        "verification": ["Problem", "Verification"],
        "version": ["Assignment", "ModelRef", "ModelVersion"],
    },
)
