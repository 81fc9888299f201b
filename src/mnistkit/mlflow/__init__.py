"""MLflow: its model registry as a `ModelRegistry`, and runs in its tracking. Needs the extra ``mlflow``."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "mirroring": ["ImportedRuns", "import_runs", "mirror_runs"],
        "observer": ["MlflowRuns"],
        "registry": ["MlflowRegistry"],
    },
)
