"""Our own estimators: scikit-learn's objectives, solved faster on data shaped like MNIST."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "logistic": ["FastLogisticRegression", "RegularizationPath"],
        "rows": ["ArrayRows", "FileRows", "RowBlocks"],
    },
)
