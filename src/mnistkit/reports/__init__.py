"""Reports: a run or a sweep as one HTML file that loads nothing and runs nothing.

A report never fails for what is missing (the data, the model, figures): it names it, and why.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "run": ["run_report"],
        "sweep": ["sweep_report"],
        "writing": ["default_name", "write_report"],
    },
)
