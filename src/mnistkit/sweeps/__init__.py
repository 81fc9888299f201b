"""Sweeps: what to try, how its jobs are run, and the result."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "search": ["Halving"],
        "sweep": ["Sweep", "Trial"],
    },
)
