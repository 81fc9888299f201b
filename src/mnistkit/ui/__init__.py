"""The local pages: runs, sweeps, models and data in a browser on this machine. Needs the extra ``ui``."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"server": ["UiServer"]})
