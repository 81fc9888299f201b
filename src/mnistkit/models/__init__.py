"""Fitted models as files: written, read, checked."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "files": ["FORMATS"],
        "linear": ["LinearModel"],
        "persistence": ["TRUSTED_TYPES", "loads_model", "save_model"],
        "probe": ["Probe"],
    },
)
