"""The facade: data, compute, models and an experiment's name, tied together."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"trainer": ["Trainer"]})
