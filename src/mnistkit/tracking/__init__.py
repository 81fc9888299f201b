"""Fits of the user's own: tracked while the program carries them out, or registered as they are."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "active": ["ActiveRun"],
        "registration": ["register_classifier", "register_file"],
        "starting": ["start_run"],
    },
)
