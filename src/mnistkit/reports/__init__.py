"""Reports: a run, a sweep or many runs as one HTML file that loads nothing. Needs the extra ``plot``.

A report never fails because something is missing (the data, the model, matplotlib): it says what, and why.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "overview": ["overview_page"],
        "overview_data": ["overview_data"],
        "run": ["run_report"],
        "sweep": ["sweep_report"],
        "writing": ["default_name", "write_report"],
    },
)
